"""Texts that nobody may read: passwords and tokens, taken out of whatever is told or logged.

And faults, without the words of their own.
"""

from __future__ import annotations

import json
import traceback
from pathlib import Path
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


def fault(error: BaseException) -> str:
    """What is said of an error that nobody has foreseen.

    Its own words are left out, as they may have those of a request or of a user in them.
    """
    codes = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    places = [f"{Path(code.co_filename).name}:{line}" for code, line in codes[-4:]]
    return f"{type(error).__name__} at {', '.join(places)}"
