"""`only_if` means the same for one user as its SQL does for a whole snapshot."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_dsl.closures import compile_filter
from audience_dsl.definitions import AllOf, AnyOf, ColumnType, Comparison, Filter, Negation
from audience_dsl.operators import OPERATORS, Operand
from audience_dsl.sql import filter_sql
from tests.delivery.profiles import pulled
from tests.warehouse.plans import AT

TEXTS = st.sampled_from(["", "a", "A", "ß", "SS", "a'b", '"', "\\", "1", "null", "e\u0301", "\0"])
WHOLE = st.one_of(st.integers(-2, 2), st.integers(-(2**53), 2**53))
CENTS = st.integers(-300, 300).map(lambda cents: Decimal(cents) / 100)
DOUBLES = st.one_of(
    st.sampled_from([0.1, -0.0, 2.5, 1e300, float("nan"), float("inf"), float("-inf")]),
    st.floats(-1e6, 1e6, allow_subnormal=False),
)
INSTANTS = st.one_of(
    st.integers(AT - 3, AT + 3),
    st.integers(-(10**16), 10**17),
)
TAGS = st.lists(st.sampled_from(["a", "1", "true", "é"]), max_size=3)

# By column: what it stores, what it is declared as, its values, and those that it is compared with.
COLUMNS: dict[str, tuple[Any, ColumnType, st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    "text": (pa.string(), ColumnType.STRING, TEXTS, TEXTS),
    "whole": (pa.int64(), ColumnType.NUMBER, WHOLE, WHOLE),
    "cents": (pa.decimal128(9, 2), ColumnType.NUMBER, CENTS, CENTS.map(float)),
    "double": (pa.float64(), ColumnType.NUMBER, DOUBLES, st.sampled_from([0.1, 0, 2.5, -1])),
    "flag": (pa.bool_(), ColumnType.BOOLEAN, st.booleans(), st.booleans()),
    "at": (pa.timestamp("us"), ColumnType.TIMESTAMP, INSTANTS, INSTANTS),
    "tags": (pa.list_(pa.string()), ColumnType.ARRAY, TAGS, st.sampled_from(["a", "1", "é"])),
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: st.none() | values for name, (_, _, values, _) in COLUMNS.items()}
    ),
    min_size=1,
    max_size=12,
)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    column = draw(st.sampled_from(list(COLUMNS)))
    _, type_, _, values = COLUMNS[column]
    name = draw(st.sampled_from([one.name for one in OPERATORS.values() if type_ in one.types]))
    operand: Any
    match OPERATORS[name].operand:
        case Operand.VALUES | Operand.ELEMENTS:
            one = st.lists(values, max_size=2).map(tuple) if _of_arrays(type_, name) else values
            operand = tuple(draw(st.lists(one, min_size=1, max_size=3)))
        case Operand.VALUE if type_ is ColumnType.ARRAY:
            operand = tuple(draw(st.lists(values, max_size=2)))
        case Operand.PAIR:
            operand = tuple(sorted(draw(st.tuples(values, values))))
        case Operand.FLAG:
            operand = draw(st.booleans())
        case Operand.DURATION:
            operand = draw(st.integers(1, 5))
        case Operand.PATTERN:
            operand = draw(st.sampled_from(["^a", "S$", "[0-9]", "", "\\\\"]))
        case _:
            operand = draw(values)
    fits = OPERATORS[name].may_ignore_case and type_ is ColumnType.STRING
    return Comparison(column, name, operand, type_, fits and draw(st.booleans()))


def _of_arrays(type_: ColumnType, name: str) -> bool:
    return type_ is ColumnType.ARRAY and OPERATORS[name].operand is Operand.VALUES


FILTERS: st.SearchStrategy[Filter] = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda of: AllOf(tuple(of))),
        st.lists(inner, min_size=1, max_size=3).map(lambda of: AnyOf(tuple(of))),
        inner.map(Negation),
    ),
    max_leaves=4,
)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    columns: dict[str, Any] = {"user_id": pa.array([f"u{i}" for i in range(len(rows))])}
    for name, (stored, *_) in COLUMNS.items():
        columns[name] = pa.array([row[name] for row in rows], type=stored)
    return pa.table(columns)


@settings(max_examples=15)
@given(ROWS, st.lists(FILTERS, min_size=5, max_size=25))
def test_a_filter_holds_for_whom_its_sql_does(
    rows: list[dict[str, Any]], filters: list[Filter]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        types = {name: type_ for name, (_, type_, _, _) in COLUMNS.items()}
        versions = pulled(root, _table(rows), types, list(COLUMNS))
        profiles = versions.at(versions.current())
        (attributes,) = root.glob("**/attributes.parquet")
        for where in filters:
            selected = f"SELECT user_id, {filter_sql(where, AT)} FROM '{attributes}'"
            test = compile_filter(where)
            for user_id, expected in duckdb.execute(selected).fetchall():
                assert test(profiles.of(user_id), AT) is expected, (user_id, where)


def test_who_is_unknown_has_nothing(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [dict.fromkeys(COLUMNS)]
    types = {name: type_ for name, (_, type_, _, _) in COLUMNS.items()}
    versions = pulled(tmp_path, _table(rows), types, list(COLUMNS))
    profiles = versions.at(versions.current())

    assert profiles.of("u0") == profiles.of("somebody") == dict.fromkeys(COLUMNS)


def test_instants_of_all_years_are_read_back(tmp_path: Path) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    instants = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)]
    rows = [
        dict.fromkeys(COLUMNS) | {"at": (one - epoch) // timedelta(microseconds=1)}
        for one in instants
    ]
    types = {name: type_ for name, (_, type_, _, _) in COLUMNS.items()}
    versions = pulled(tmp_path, _table(rows), types, ["at"])
    profiles = versions.at(versions.current())

    assert profiles.of("u0") == {"at": "0001-01-01T00:00:00.000000Z"}
    assert profiles.of("u1") == {"at": "9999-12-31T23:59:59.999999Z"}
