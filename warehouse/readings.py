"""How a warehouse's column is read as the type that the project declares.

Attributes are stored in few forms, so that predicates and mappings need not know the warehouse:
text; BIGINT, DECIMAL(38, 0) or DOUBLE; BOOLEAN; TIMESTAMP in UTC; and arrays as a list of text,
BIGINT, DOUBLE or BOOLEAN, or as the text of a JSON array.  A value that cannot be read is NULL.

Texts are read as numbers and instants by the same rules as those of events.  Instants in texts
are read by the very function, which takes Python's time: a view that casts such a column once is
faster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from audience_dsl.definitions import ColumnType
from audience_dsl.instants import EARLIEST, LATEST
from audience_dsl.sql import quoted_name, quoted_text

# The SQL function that stands for `audience_dsl.instants.read_instant` on text.
READ_INSTANT = "usher_read_instant"

_TEXTS = frozenset({"VARCHAR", "UUID", "JSON"})
_BIGINTS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
)
_INTEGERS = _BIGINTS | {"UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"}
_TIMESTAMPS = frozenset(
    {
        "DATE",
        "TIMESTAMP",
        "TIMESTAMP_S",
        "TIMESTAMP_MS",
        "TIMESTAMP_NS",
        "TIMESTAMP WITH TIME ZONE",
    }
)
_DECIMAL = re.compile(r"DECIMAL\(\d+,\s*(\d+)\)")
_LIST = re.compile(r"(?s)(.*)\[\d*\]")

# What Python's `str.strip` strips.
_SPACES = "".join(one for one in map(chr, range(0x10000)) if one.isspace())  # none lies beyond
_NUMBER = r"[+-]?([0-9]+|([0-9]+\.[0-9]*|\.?[0-9]+)([eE][+-]?[0-9]+)?)"


@dataclass(frozen=True, slots=True)
class Reading:
    """`sql` is of the DuckDB type `stored`; if `lossy`, it may be NULL where the column is not."""

    type: ColumnType
    sql: str
    stored: str
    lossy: bool = False


def natural_type(stored: str) -> ColumnType | None:
    """The type that a column of DuckDB's type `stored` has by itself, if audiences can use it."""
    if _is_text(stored):
        return ColumnType.STRING
    if _is_number(stored):
        return ColumnType.NUMBER
    if stored == "BOOLEAN":
        return ColumnType.BOOLEAN
    if stored in _TIMESTAMPS:
        return ColumnType.TIMESTAMP
    element = _LIST.fullmatch(stored)
    if element and (_is_text(element[1]) or _is_number(element[1]) or element[1] == "BOOLEAN"):
        return ColumnType.ARRAY
    return None


def reading(column: str, stored: str, declared: ColumnType) -> Reading | None:
    """How to read the column as the declared type; `None` if no value of it could be."""
    name = quoted_name(column)
    match declared:
        case ColumnType.STRING:
            if _is_text(stored) or _is_integer(stored):
                return Reading(declared, f"CAST({name} AS VARCHAR)", "VARCHAR")
        case ColumnType.NUMBER:
            return _number(name, stored)
        case ColumnType.BOOLEAN:
            if stored == "BOOLEAN":
                return Reading(declared, name, "BOOLEAN")
        case ColumnType.TIMESTAMP:
            return _timestamp(name, stored)
        case ColumnType.ARRAY:
            return _array(name, stored)
    return None


def stripped(sql: str) -> str:
    """The text without the spaces around it, of whatever kind.

    Trimming many kinds takes DuckDB long, and a text between visible ASCII needs none.
    """
    ends = [f"ascii(left({sql}, 1))", f"ascii(right({sql}, 1))"]
    bare = " AND ".join(f"{end} BETWEEN 33 AND 126" for end in ends)
    return f"CASE WHEN {bare} THEN {sql} ELSE trim({sql}, {quoted_text(_SPACES)}) END"


def _is_text(stored: str) -> bool:
    return stored in _TEXTS or stored.startswith("ENUM(")


def _is_integer(stored: str) -> bool:
    decimal = _DECIMAL.fullmatch(stored)
    return stored in _INTEGERS or (decimal is not None and decimal[1] == "0")


def _is_number(stored: str) -> bool:
    return _is_integer(stored) or stored in ("FLOAT", "DOUBLE") or bool(_DECIMAL.fullmatch(stored))


def _number(name: str, stored: str) -> Reading | None:
    if stored in _BIGINTS:
        return Reading(ColumnType.NUMBER, f"CAST({name} AS BIGINT)", "BIGINT")
    if _is_integer(stored):
        return Reading(
            ColumnType.NUMBER, f"TRY_CAST({name} AS DECIMAL(38, 0))", "DECIMAL(38,0)", lossy=True
        )
    if stored == "DOUBLE":
        return Reading(ColumnType.NUMBER, f"CASE WHEN NOT isnan({name}) THEN {name} END", "DOUBLE")
    text = f"CAST({name} AS VARCHAR)"
    double = f"TRY_CAST({text} AS DOUBLE)"
    if _is_number(stored):
        # By way of text, 0.7 stays the number that people see, also as FLOAT.
        return Reading(
            ColumnType.NUMBER, f"CASE WHEN NOT isnan({double}) THEN {double} END", "DOUBLE"
        )
    if not _is_text(stored):
        return None
    text = stripped(text)
    double = f"TRY_CAST({text} AS DOUBLE)"
    readable = f"regexp_full_match({text}, {quoted_text(_NUMBER)}) AND isfinite({double})"
    return Reading(
        ColumnType.NUMBER, f"CASE WHEN {readable} THEN {double} END", "DOUBLE", lossy=True
    )


def _timestamp(name: str, stored: str) -> Reading | None:
    if stored in _TIMESTAMPS:
        return Reading(
            ColumnType.TIMESTAMP, _within_calendar(_microseconds(name, stored)), "TIMESTAMP"
        )
    if stored in _BIGINTS:
        # The magnitude tells the unit, as in events: seconds, milliseconds, microseconds.
        number = f"CAST({name} AS HUGEINT)"
        unit = f"CASE WHEN abs({number}) < {10**11} THEN 1000000 "
        unit += f"WHEN abs({number}) < {10**14} THEN 1000 ELSE 1 END"
        return Reading(
            ColumnType.TIMESTAMP, _within_calendar(f"{number} * ({unit})"), "TIMESTAMP", lossy=True
        )
    if _is_text(stored) or _is_number(stored):
        instant = f"{READ_INSTANT}(CAST({name} AS VARCHAR))"
        return Reading(ColumnType.TIMESTAMP, _within_calendar(instant), "TIMESTAMP", lossy=True)
    return None


def _microseconds(name: str, stored: str) -> str:
    match stored:
        case "TIMESTAMP WITH TIME ZONE":
            return f"epoch_us({name})"
        case "TIMESTAMP_NS":  # rounded down, as all that is finer than a microsecond
            nanoseconds = f"epoch_ns({name})"
            return f"({nanoseconds} - (({nanoseconds} % 1000) + 1000) % 1000) // 1000"
    return f"epoch_us(TRY_CAST({name} AS TIMESTAMP))"


def _within_calendar(microseconds: str) -> str:
    return (
        f"CASE WHEN {microseconds} BETWEEN {EARLIEST} AND {LATEST} "
        f"THEN make_timestamp(CAST({microseconds} AS BIGINT)) END"
    )


def _array(name: str, stored: str) -> Reading | None:
    if _is_text(stored):
        # CASE keeps the order of tests, which AND does not.
        valid = f"CASE WHEN json_valid(CAST({name} AS VARCHAR)) "
        valid += f"THEN json_type(CAST({name} AS VARCHAR)) = 'ARRAY' ELSE false END"
        return Reading(
            ColumnType.ARRAY,
            f"CASE WHEN {valid} THEN CAST({name} AS VARCHAR) END",
            "VARCHAR",
            lossy=True,
        )
    elements = _LIST.fullmatch(stored)
    if elements is None:
        return None
    element = elements[1]
    if _is_text(element):
        return Reading(ColumnType.ARRAY, f"CAST({name} AS VARCHAR[])", "VARCHAR[]")
    if element == "BOOLEAN":
        return Reading(ColumnType.ARRAY, f"CAST({name} AS BOOLEAN[])", "BOOLEAN[]")
    if element in _BIGINTS:
        return Reading(ColumnType.ARRAY, f"CAST({name} AS BIGINT[])", "BIGINT[]")
    if _is_number(element):
        doubles = f"CAST(CAST({name} AS VARCHAR[]) AS DOUBLE[])"
        finite = f"list_transform({doubles}, lambda x: CASE WHEN isfinite(x) THEN x END)"
        return Reading(ColumnType.ARRAY, finite, "DOUBLE[]")
    return None
