"""The filters and the operators of templates: total, and unable to make much out of little.

A filter of texts passes a missing value on, as hashing or trimming nothing gives nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import wraps
from typing import Any

from jinja2 import Undefined

from audience_dsl.instants import SECOND, format_instant, read_instant

# Characters that one template may make, all its leaves together.
MOST = 1_000_000


class Refused(ValueError):
    """A value that a filter or an operator does not take; the text is for people."""


def plain(value: Any) -> Any:
    """The value as JSON can have it.

    Decimals become numbers, instants and days ISO 8601 texts; what is not a number is `None`.

    Raises:
        Refused: JSON has nothing like it.
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            if value.bit_length() > _BITS_MOST:
                raise Refused("the number is too large")
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            if not value.is_finite():
                return None
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            since = value.replace(tzinfo=value.tzinfo or UTC) - _EPOCH
            return format_instant(since // _MICROSECOND)
        case date():
            return value.isoformat()
        case Undefined():
            raise Refused(f"there is {_kind(value)}")
        case Mapping():
            return {str(key): plain(one) for key, one in value.items()}
        case Iterable() if not isinstance(value, bytes | bytearray | memoryview):
            return [plain(one) for one in value]
        case _:
            raise Refused(f"{type(value).__name__} has no form in JSON")


def shown(value: Any) -> str:
    """The value inside a text; a missing one is empty, the rest is as in JSON."""
    value = plain(value)
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def arithmetic(symbol: str, left: Any, right: Any) -> Any:
    """`+ - * / // %` of numbers, and `+` of texts or lists.

    Raises:
        Refused: of anything else, and where the result would be too large.
    """
    numbers = isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)
    if numbers and symbol == "*" and _bits(left) + _bits(right) > _BITS_MOST:
        raise Refused("the product is too large")
    both = (isinstance(left, kind) and isinstance(right, kind) for kind in (str, list))
    if not numbers and not (symbol == "+" and any(both)):
        kinds = f"{_kind(left)} and {_kind(right)}"
        raise Refused(f"{symbol!r} takes two numbers, not {kinds}")
    if not numbers and len(left) + len(right) > MOST:
        raise Refused("the text is too large")
    if isinstance(left, Decimal) != isinstance(right, Decimal):
        left, right = float(left), float(right)
    return _OPERATORS[symbol](left, right)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = datetime.resolution
_NUMBERS = (int, float, Decimal)
_BITS_MOST = 4_096
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


def _bits(number: Any) -> int:
    return int.bit_length(number) if isinstance(number, int) else 0


def _kind(value: Any) -> str:
    if isinstance(value, Undefined):
        return f"no {str(getattr(value, '_undefined_name', None) or 'such value')!r}"
    names = {str: "text", bool: "truth value", list: "list", dict: "mapping", type(None): "nothing"}
    return names.get(type(value), "number" if isinstance(value, _NUMBERS) else "something else")


def _of_text(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter for all values: other ones as they are inside a text, missing ones passed on."""

    @wraps(function)
    def applied(value: Any, *arguments: Any, **named: Any) -> Any:
        return None if value is None else function(shown(value), *arguments, **named)

    return applied


@_of_text
def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


@_of_text
def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


@_of_text
def _replace(text: str, old: str, new: str) -> str:
    old, new = shown(old), shown(new)
    if not old:
        raise Refused("'replace' needs a text to look for")
    if len(text) + text.count(old) * len(new) > MOST:
        raise Refused("the text is too large")
    return text.replace(old, new)


@_of_text
def _urlencode(text: str) -> str:
    octets = text.encode("utf-8", "replace")
    return "".join(chr(one) if one in _UNRESERVED else f"%{one:02X}" for one in octets)


@_of_text
def _e164(text: str, country: Any = "") -> str:
    """`+` and digits; a number without a country gets that one instead of its leading zero."""
    bare = re.sub(r"[\s()./\u2010-\u2015-]+", "", text)
    code = shown(country).lstrip("+")
    bare = re.sub(r"^00", "+", bare)
    if not bare.startswith("+") and code:
        bare = f"+{code}{bare.removeprefix('0')}"
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", bare):
        raise Refused("it is no telephone number with its country, such as +49 30 1234567")
    return bare


@_of_text
def _int(text: str) -> int:
    return math.trunc(_number(text))


@_of_text
def _float(text: str) -> float:
    return _number(text)


@_of_text
def _round(text: str, digits: Any = 0) -> int | float:
    places = digits if isinstance(digits, int) and abs(digits) <= 15 else 0
    rounded = round(_number(text), places)
    return rounded if places > 0 else int(rounded)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise Refused("it is no number") from None
    if not math.isfinite(number):
        raise Refused("it is no number")
    return number


def _since_epoch(value: Any, unit: int) -> int | None:
    if value is None:
        return None
    instant = read_instant(plain(value))
    if instant is None:
        raise Refused("it is no instant, such as 2026-03-01T10:00:00Z")
    return instant // unit


def _default(value: Any, other: Any = "") -> Any:
    return other if value is None or isinstance(value, Undefined) else value


def _join(value: Any, between: Any = "") -> str | None:
    if value is None:
        return None
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise Refused(f"'join' takes a list, not {_kind(value)}")
    separator = shown(between)
    pieces: list[str] = []
    length = 0
    for one in value:
        pieces.append(shown(one))
        length += len(pieces[-1]) + len(separator)
        if length > MOST:
            raise Refused("the text is too large")
    return separator.join(pieces)


def _map(value: Any, attribute: str) -> list[Any] | None:
    """A field of each of a list's mappings; `a.b` is a field of a field."""
    if value is None:
        return None
    return [_field(one, str(attribute)) for one in _listed(value, "map")]


def _field(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _listed(value: Any, of: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise Refused(f"{of!r} takes a list, not {_kind(value)}")
    return list(value)


def _first(value: Any) -> Any:
    return next(iter(_listed(value, "first")), None) if value is not None else None


def _last(value: Any) -> Any:
    return next(iter(reversed(_listed(value, "last"))), None) if value is not None else None


def _length(value: Any) -> int:
    if value is None:
        return 0
    if not isinstance(value, str | list | tuple | Mapping):
        raise Refused(f"'length' takes a text or a list, not {_kind(value)}")
    return len(value)


def _merge(value: Any, *others: Any) -> dict[str, Any]:
    """The fields of mappings together; of two by one name the later counts, nothing has none."""
    merged: dict[str, Any] = {}
    for one in (value, *others):
        if one is None or isinstance(one, Undefined):
            continue
        if not isinstance(one, Mapping):
            raise Refused(f"'merge' takes mappings, not {_kind(one)}")
        merged |= one
    return merged


def _compact(value: Any) -> dict[str, Any]:
    """A mapping without the fields that have no value."""
    if not isinstance(value, Mapping):
        raise Refused(f"'compact' takes a mapping, not {_kind(value)}")
    return {
        key: one for key, one in value.items() if one is not None and not isinstance(one, Undefined)
    }


def _tojson(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "compact": _compact,
    "default": _default,
    "e164": _e164,
    "epoch": lambda value: _since_epoch(value, SECOND),
    "epoch_ms": lambda value: _since_epoch(value, SECOND // 1000),
    "first": _first,
    "float": _float,
    "int": _int,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _of_text(str.lower),
    "map": _map,
    "merge": _merge,
    "md5": _md5,
    "replace": _replace,
    "round": _round,
    "sha256": _sha256,
    "string": _of_text(str),
    "tojson": _tojson,
    "trim": _of_text(str.strip),
    "upper": _of_text(str.upper),
    "urlencode": _urlencode,
}
