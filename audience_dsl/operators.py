"""The operators: which type each fits, and what each means for one value.

A value is first *read* as the type that its column declares; what cannot be read so is missing,
as are null and NaN.  A comparison with a missing value is false, the negative operators included;
`exists: false` is the only one that is true.  The complement "not (plan equals free)", which is
true without a plan, is a group's business and not an operator's.

Where an event property declares no type, the JSON type of the value decides, and a value of
another type than the operand's is missing: `equals: 5` says nothing about the text "5".
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]

from audience_dsl.definitions import ColumnType, Comparison
from audience_dsl.instants import read_instant


class Operand(Enum):
    """What stands to the right of an operator."""

    VALUE = "a value of the column's type"
    VALUES = "a list of values of the column's type"
    PAIR = "a list of two values of the column's type, the smaller first"
    TEXT = "a text"
    PATTERN = "a regular expression in RE2's syntax"
    FLAG = "true or false"
    DURATION = "a duration such as 7d"
    ELEMENTS = "a list of elements"


@dataclass(frozen=True, slots=True)
class Operator:
    """`types` are the columns that the operator fits; `meaning` completes "the value …".

    `negates` names the operator whose opposite it is, among values that are not missing.
    """

    name: str
    types: frozenset[ColumnType]
    operand: Operand
    meaning: str
    negates: str = ""

    @property
    def may_ignore_case(self) -> bool:
        return ColumnType.STRING in self.types and self.operand is not Operand.FLAG


_EVERY = frozenset(ColumnType)
_STRING = frozenset({ColumnType.STRING})
_ORDERED = frozenset({ColumnType.NUMBER, ColumnType.TIMESTAMP})
_TIMESTAMP = frozenset({ColumnType.TIMESTAMP})
_BOOLEAN = frozenset({ColumnType.BOOLEAN})
_ARRAY = frozenset({ColumnType.ARRAY})

OPERATORS: dict[str, Operator] = {
    one.name: one
    for one in (
        Operator("equals", _EVERY, Operand.VALUE, "is this one"),
        Operator("not_equals", _EVERY, Operand.VALUE, "is another one", "equals"),
        Operator("in", _EVERY, Operand.VALUES, "is one of these"),
        Operator("not_in", _EVERY, Operand.VALUES, "is none of these", "in"),
        Operator("exists", _EVERY, Operand.FLAG, "is there (true) or missing (false)"),
        Operator("contains", _STRING, Operand.TEXT, "contains this text"),
        Operator("not_contains", _STRING, Operand.TEXT, "does not contain this text", "contains"),
        Operator("starts_with", _STRING, Operand.TEXT, "starts with this text"),
        Operator("not_starts_with", _STRING, Operand.TEXT, "does not start with it", "starts_with"),
        Operator("ends_with", _STRING, Operand.TEXT, "ends with this text"),
        Operator("not_ends_with", _STRING, Operand.TEXT, "does not end with it", "ends_with"),
        Operator("matches", _STRING, Operand.PATTERN, "has a part that matches the pattern"),
        Operator("greater_than", _ORDERED, Operand.VALUE, "is greater or later"),
        Operator("at_least", _ORDERED, Operand.VALUE, "is equal, greater or later"),
        Operator("less_than", _ORDERED, Operand.VALUE, "is less or earlier"),
        Operator("at_most", _ORDERED, Operand.VALUE, "is equal, less or earlier"),
        Operator("between", _ORDERED, Operand.PAIR, "is one of the two or lies between them"),
        Operator("not_between", _ORDERED, Operand.PAIR, "lies outside of the two", "between"),
        Operator("before", _TIMESTAMP, Operand.VALUE, "is earlier"),
        Operator("after", _TIMESTAMP, Operand.VALUE, "is later"),
        Operator("within_last", _TIMESTAMP, Operand.DURATION, "is now or less than this ago"),
        Operator("within_next", _TIMESTAMP, Operand.DURATION, "is now or less than this ahead"),
        Operator("is", _BOOLEAN, Operand.FLAG, "is true, or is false"),
        Operator("has_any", _ARRAY, Operand.ELEMENTS, "has one of these elements or more"),
        Operator("has_all", _ARRAY, Operand.ELEMENTS, "has all of these elements"),
        Operator("has_none", _ARRAY, Operand.ELEMENTS, "has none of these elements", "has_any"),
    )
}


def holds(comparison: Comparison, raw: object, *, at: int) -> bool:
    """Whether the comparison is true for a decoded JSON value.

    Args:
        comparison: Its operator is one of `OPERATORS`, its operand of the kind told there.
        raw: The value as decoded from JSON: text, number, boolean, `None`, list or dict.
        at: "Now" for `within_last` and `within_next`: the event's own instant, or the instant at
            which the warehouse snapshot was taken; microseconds since 1970 UTC.
    """
    name = comparison.operator
    operand: Any = comparison.operand
    value = read(comparison, raw)
    if name == "exists":
        return (value is not None) is operand
    if value is None:
        return False
    if comparison.ignore_case:
        if name == "matches":
            operand = f"(?i){operand}"
        else:
            value, operand = _folded(value), _folded(operand)
    elif OPERATORS[name].operand is Operand.DURATION:
        value -= at
    return _TESTS[name](value, operand)


def read(comparison: Comparison, raw: object) -> Any:
    """The value as the comparison's column type has it, or `None` if it is missing."""
    match comparison.type:
        case None:
            return _read_untyped(comparison, raw)
        case ColumnType.STRING:
            return raw if isinstance(raw, str) else None
        case ColumnType.NUMBER:
            return read_number(raw) if isinstance(raw, str) else _number(raw)
        case ColumnType.BOOLEAN:
            return raw if isinstance(raw, bool) else None
        case ColumnType.TIMESTAMP:
            return read_instant(raw)
        case ColumnType.ARRAY:
            return raw if isinstance(raw, list | tuple) else None


_NUMBER = re.compile(r"[+-]?(?:([0-9]+)|(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][+-]?[0-9]+)?)")


def read_number(text: str) -> int | float | None:
    """The number written in a text: exact if it is an integer, else the nearest float.

    Spaces around it are allowed; digits are ASCII.  What exceeds the range of floats is no number.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    number = float(match[0])
    if math.isinf(number):
        return None
    # Python refuses to read integers of thousands of digits, which only leading zeros make finite.
    return int(match[0]) if match[1] and len(match[1]) <= 400 else number


def compile_pattern(pattern: str) -> Any:
    """An RE2 pattern: its search takes linear time, whatever the pattern and the text.

    Raises:
        re2.error: the pattern is malformed, or uses what RE2 leaves out (back-references,
            look-around).
    """
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def _number(raw: object) -> int | float | None:
    if isinstance(raw, float):
        return None if math.isnan(raw) else raw
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def _read_untyped(comparison: Comparison, raw: object) -> Any:
    if raw is None or (isinstance(raw, float) and math.isnan(raw)):
        return None
    name = comparison.operator
    if name == "exists":
        return raw
    if OPERATORS[name].types == _TIMESTAMP:
        return read_instant(raw)
    kind = _kind(raw)
    operand = comparison.operand
    match OPERATORS[name].operand:
        case Operand.VALUES if isinstance(operand, tuple):
            fits = any(_kind(one) is kind for one in operand)
        case Operand.PAIR:
            fits = kind is float
        case _:
            fits = kind is not None and _kind(operand) is kind
    return raw if fits else None


def _kind(value: object) -> type | None:
    """The JSON type: `True` is not 1, but 1 is 1.0."""
    if isinstance(value, str):
        return str
    if isinstance(value, bool):
        return bool
    if isinstance(value, int | float):
        return float
    return list if isinstance(value, list | tuple) else None


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return value.casefold()
    return tuple(map(_folded, value)) if isinstance(value, tuple) else value


def _same(value: object, operand: object) -> bool:
    """Equality of JSON values, element by element in arrays."""
    if isinstance(value, list | tuple) and isinstance(operand, list | tuple):
        return len(value) == len(operand) and all(map(_same, value, operand))
    kind = _kind(value)
    return kind is not None and kind is _kind(operand) and value == operand


def _has(value: Sequence[object], element: object) -> bool:
    return any(_same(one, element) for one in value)


_patterns = lru_cache(maxsize=4096)(compile_pattern)


def _matches(value: str, pattern: str) -> bool:
    try:
        return _patterns(pattern).search(value) is not None
    except UnicodeEncodeError:  # a lone surrogate, which is no character
        return _patterns(pattern).search(value.encode("utf-8", "replace").decode()) is not None


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": _same,
    "in": lambda value, operands: any(_same(value, one) for one in operands),
    "contains": operator.contains,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "matches": _matches,
    "greater_than": operator.gt,
    "at_least": operator.ge,
    "less_than": operator.lt,
    "at_most": operator.le,
    "between": lambda value, pair: bool(pair[0] <= value <= pair[1]),
    "before": operator.lt,
    "after": operator.gt,
    "within_last": lambda since, duration: bool(-duration < since <= 0),
    "within_next": lambda since, duration: bool(0 <= since < duration),
    "is": operator.is_,
    "has_any": lambda value, elements: any(_has(value, one) for one in elements),
    "has_all": lambda value, elements: all(_has(value, one) for one in elements),
}


def _opposite(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, operand: not test(value, operand)


_TESTS |= {one.name: _opposite(_TESTS[one.negates]) for one in OPERATORS.values() if one.negates}
