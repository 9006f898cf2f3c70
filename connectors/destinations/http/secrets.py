"""Secrets, kept out of the texts for people, in whatever spelling a request or an answer has them.

Of a URL the path and the query are the secret: in webhooks they often are the only credentials.
The host is none, and people have to know it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, urlsplit

import msgspec

from connectors.destinations.http.log import MASK
from connectors.destinations.http.target import LITERAL

# What is shorter stands everywhere.
_SHORTEST = 4
# Of a URL, a part that is as long as this is a secret by itself.
_TOKEN = 16
_EXPRESSION = re.compile(r"\{\{.*?\}\}")


class Secrets:
    """Texts that nobody may read.  `values` may be URLs."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        spelt = {each for value in values for one in _parts(value) for each in _spellings(one)}
        self._texts = sorted((one for one in spelt if len(one) >= _SHORTEST), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text without them."""
        for one in self._texts:
            text = text.replace(one, f"/{MASK}" if one.startswith("/") else MASK)
        return text


def _parts(value: str) -> Iterator[str]:
    if "://" not in value:
        yield value
        return
    parts = urlsplit(value)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    for one in _EXPRESSION.split(target):
        yield one
        yield one.rstrip("/?&=")
    yield from (one for one in re.split(r"[/?&=]", target) if len(one) >= _TOKEN)


def _spellings(text: str) -> Iterator[str]:
    """As it is, in a URL's literals, as a value in one, and in JSON."""
    yield text
    yield quote(text, safe=LITERAL, errors="replace")
    yield quote(text, safe="", errors="replace")
    yield msgspec.json.encode(text).decode()[1:-1]
