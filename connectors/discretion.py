"""Texts that nobody may read: passwords and tokens, taken out of whatever is told or logged."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus


class Secrets:
    """Texts that no message may contain, in whatever spelling a client gives them back."""

    def __init__(self, *secrets: object) -> None:
        spellings: set[str] = set()
        for secret in secrets:
            if secret:
                text = str(secret)
                spellings |= {text, quote(text, safe=""), quote_plus(text), repr(text)[1:-1]}
                spellings |= {json.dumps(text)[1:-1], text.replace("\\", "\\\\")}
        self._spellings = sorted(spellings, key=len, reverse=True)

    def hide(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, "***")
        return text


def one_line(text: str, longest: int = 500) -> str:
    """The same without line breaks, and cut behind `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[:longest]}…"
