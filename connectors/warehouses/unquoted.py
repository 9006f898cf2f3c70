"""What is said of rows that cannot be read, without what they have: a value may be a user's id.

Whatever is quoted is cut off with all that follows, since a value may have quotes in it as well.
"""

from __future__ import annotations

import re

import pyarrow as pa  # type: ignore[import-untyped]

_CUT = "…"

# Classes of SQLSTATE, and the names of exceptions that every client has.
_STATES = ("22", "23")
_NAMES = frozenset({"DataError", "IntegrityError"})

_UNQUOTED = re.compile(r".*?(?=['\"\n]| value: |$)")

# Before what PostgreSQL itself says, its client may repeat the statement.
_POSTGRES = "ERROR:  "

# DuckDB does not quote numbers.
_UNQUOTED_BY_DUCKDB = re.compile(r".*?(?=['\"\n]| value |[ (]-?\d|$)")

# What DuckDB says of a place.
_COLUMN = re.compile(r"( to [A-Z]\w*(\(\d+,\d+\))?)? when casting from source column \w+$")
_LINE = re.compile(r"CSV Error on Line: \d+")
_COLUMN_OF_LINE = re.compile(r"\n(Error when converting column \"\w+\")")
_FILE = re.compile(r"[A-Za-z ]+ file (\"[^\"\n]*\"|'[^'\n]*')(,( at byte \d+)? in \S+ \d+)?")
_SUBQUERY = re.compile(r"More than one row returned by a subquery[\w -]*")


def is_of_rows(error: Exception) -> bool:
    """Whether a client's error is about what rows have, and may quote it."""
    state = str(getattr(error, "sqlstate", None) or "")
    return (
        state.startswith(_STATES)
        or any(f"SQLSTATE: {one}" in str(error) for one in _STATES)
        or isinstance(error, pa.ArrowInvalid)
        or type(error) is OSError  # whatever ends a stream of Arrow's
        or not _NAMES.isdisjoint(kind.__name__ for kind in type(error).__mro__)
    )


def unquoted(text: str) -> str:
    """A client's sentence about rows, up to what it quotes."""
    return _beginning(_UNQUOTED, text.partition(_POSTGRES)[2] or text)


def unquoted_by_duckdb(text: str) -> str:
    """DuckDB's sentence about whatever it is: the kind of error stands first."""
    kind, _, said = text.partition(": ")
    match kind:
        case "Conversion Error" | "Out of Range Error" | "Constraint Error":
            return f"{kind}: {_of_line(said) or _of_value(said)}"
        case "Invalid Input Error":  # some of these are nothing but a value
            place = _FILE.match(said) or _SUBQUERY.match(said)
            return f"{kind}: {_of_line(said) or (place[0] if place else _CUT)}"
    return text


def _of_line(said: str) -> str:
    if not (line := _LINE.match(said)):
        return ""
    column = _COLUMN_OF_LINE.search(said)
    return f"{line[0]}, {column[1]}" if column else line[0]


def _of_value(said: str) -> str:
    column = _COLUMN.search(said)
    return _beginning(_UNQUOTED_BY_DUCKDB, said) + (column[0] if column else "")


def _beginning(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    beginning = "" if found is None else found[0]
    return beginning if beginning == text else f"{beginning.rstrip()} {_CUT}"
