"""The slow, exact reading of JSON that the fast decoder refuses.

Real clients send what the JSON standard forbids or decoders cannot hold: half of a surrogate
pair, cut out of an emoji; `NaN` and `Infinity`; numbers beyond the range of floats.  Such a value
alone is lost, never its record: half a character becomes U+FFFD, the others are missing.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_DIGITS = 4000  # Python refuses to read integers that are much longer


class Unreadable(ValueError):
    """The text is no record; the message says why in a few words."""


def read_json(text: bytes | str) -> Any:
    """Decode JSON as leniently as is safe.

    Raises:
        Unreadable: it is not JSON, or nested too deeply.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        value = json.loads(
            text, parse_constant=_missing, parse_float=_read_float, parse_int=_read_int
        )
        return _mended(value) if "\\u" in text or _SURROGATE.search(text) else value
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"not JSON: {error}") from None


def _missing(_: str) -> None:
    return None


def _read_float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _read_int(text: str) -> int | None:
    return int(text) if len(text) <= _DIGITS else None


def _mended(value: Any) -> Any:
    """The same value with U+FFFD for every lone surrogate."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(one) for key, one in value.items()}
    return value
