"""Predicates in SQL mean exactly what the operators mean for one value."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import duckdb.func
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audience_dsl import sql
from audience_dsl.definitions import ColumnType, Comparison
from audience_dsl.instants import EARLIEST, LATEST, read_instant
from audience_dsl.operators import OPERATORS, Operand, compile_pattern, holds
from warehouse.readings import READ_INSTANT, reading

# A DuckDB connection; naming its type here would keep DuckDB alive at exit, which it complains of.
Connection = Any

AT = 1_772_323_200_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOSTILE_NAME = 'a "quoted"; DROP TABLE x -- name'

TYPES = st.sampled_from(
    [
        "'",
        '"',
        "\\",
        "%",
        "_",
        "ß",
        "SS",
        "İ",
        "Ꭰ",
        "ꭰ",
        "ς",
        "Σ",
        "ſ",
        "K",
        "k",
        "\0",
        "\n",
        ";",
        "--",
        "é",
    ]
)
TEXTS = st.lists(st.one_of(TYPES, st.sampled_from("abAB 1"), st.characters(codec="utf-8"))).map(
    "".join
)
INTEGERS = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))
DOUBLES = st.one_of(
    st.sampled_from([0.1, 0.5, -0.0, 1.0, 2.5, 1e300, 0.30000000000000004]),
    st.floats(allow_infinity=False, allow_nan=False, allow_subnormal=False),
)
# Within them doubles hold every integer, so that Python's exact comparison and SQL's agree.
SAFE_INTEGERS = st.one_of(st.integers(-3, 3), st.integers(-(2**53), 2**53))
INSTANTS = st.one_of(
    st.integers(AT - 5, AT + 5), st.integers(EARLIEST, LATEST), st.sampled_from([EARLIEST, LATEST])
)
ELEMENTS = st.one_of(st.sampled_from(["a", "1", "true", "é", '"']), st.integers(-2, 2))


@pytest.fixture(scope="module", name="connection")
def _connection() -> Iterator[Connection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'America/New_York'")  # no answer may depend on it
    connection.create_function(
        READ_INSTANT,
        read_instant,
        [duckdb.sqltype("VARCHAR")],
        duckdb.sqltype("BIGINT"),
        null_handling=duckdb.func.SPECIAL,
    )
    yield connection
    connection.remove_function(READ_INSTANT)
    connection.close()


@st.composite
def comparisons(draw: st.DrawFn, type_: ColumnType, values: st.SearchStrategy[Any]) -> Comparison:
    operand: Any
    name = draw(st.sampled_from([one.name for one in OPERATORS.values() if type_ in one.types]))
    match OPERATORS[name].operand:
        case Operand.VALUES | Operand.ELEMENTS:
            operand = tuple(draw(st.lists(values, min_size=1, max_size=3)))
        case Operand.PAIR:
            operand = tuple(sorted(draw(st.tuples(values, values))))
        case Operand.FLAG:
            operand = draw(st.booleans())
        case Operand.DURATION:
            operand = draw(st.one_of(st.integers(1, 5), st.integers(1, 2**62)))
        case Operand.PATTERN:
            operand = draw(PATTERNS)
        case _:
            operand = draw(values)
    ignore_case = OPERATORS[name].may_ignore_case and type_ is ColumnType.STRING
    return Comparison(
        HOSTILE_NAME, name, operand, type_, ignore_case=ignore_case and draw(st.booleans())
    )


def _compiles(pattern: str) -> bool:
    try:
        compile_pattern(pattern)
    except Exception:  # noqa: BLE001 - the library's own type is not exported everywhere
        return False
    return True


PATTERNS = st.one_of(
    st.sampled_from(
        ["^a", "a$", "^a.b$", "[[:alpha:]]+", r"\bss\b", r"\d", "(?i)K", "a|b", "", "ß"]
    ),
    st.text(st.sampled_from("abAB.*+?|()[]^$ßé'"), max_size=6).filter(_compiles),
)


def answers(
    connection: Connection,
    comparison: Comparison,
    stored: str,
    values: Sequence[object],
) -> list[object]:
    column = sql.quoted_name(comparison.column)
    predicate = sql.predicate_sql(comparison, AT)
    rows = connection.execute(
        f"SELECT {predicate} FROM (SELECT unnest(CAST(? AS {stored}[])) AS {column})", [values]
    ).fetchall()
    return [answer for (answer,) in rows]


def expected(comparison: Comparison, values: Sequence[object]) -> list[bool]:
    return [holds(comparison, value, at=AT) for value in values]


@given(comparisons(ColumnType.STRING, TEXTS), st.lists(st.none() | TEXTS, min_size=1, max_size=6))
@example(Comparison("c", "matches", "a.b", ColumnType.STRING), ["a\nb", "a.b"])
@example(Comparison("c", "equals", "STRASSE", ColumnType.STRING, ignore_case=True), ["straße"])
@example(Comparison("c", "in", ("x", "ΣΑΣ"), ColumnType.STRING, ignore_case=True), ["σας"])
def test_texts(connection: Connection, comparison: Comparison, values: list[Any]) -> None:
    assert answers(connection, comparison, "VARCHAR", values) == expected(comparison, values)


@given(
    comparisons(ColumnType.NUMBER, INTEGERS | DOUBLES),
    st.lists(st.none() | INTEGERS, min_size=1, max_size=6),
)
@example(Comparison("c", "in", (2**53, 0.5), ColumnType.NUMBER), [2**53 + 1, 2**53])
@example(Comparison("c", "less_than", 10**40, ColumnType.NUMBER), [1])
def test_whole_numbers(connection: Connection, comparison: Comparison, values: list[Any]) -> None:
    for stored in ("BIGINT", "DECIMAL(38, 0)"):
        assert answers(connection, comparison, stored, values) == expected(comparison, values)


@given(
    comparisons(ColumnType.NUMBER, SAFE_INTEGERS | DOUBLES),
    st.lists(st.none() | DOUBLES | SAFE_INTEGERS.map(float), min_size=1, max_size=6),
)
def test_doubles(connection: Connection, comparison: Comparison, values: list[Any]) -> None:
    assert answers(connection, comparison, "DOUBLE", values) == expected(comparison, values)


@given(
    comparisons(ColumnType.BOOLEAN, st.booleans()),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=6),
)
def test_booleans(connection: Connection, comparison: Comparison, values: list[Any]) -> None:
    assert answers(connection, comparison, "BOOLEAN", values) == expected(comparison, values)


@given(
    comparisons(ColumnType.TIMESTAMP, INSTANTS),
    st.lists(st.none() | INSTANTS, min_size=1, max_size=6),
)
def test_timestamps(connection: Connection, comparison: Comparison, values: list[Any]) -> None:
    stored = [None if one is None else _moment(one) for one in values]
    raw = [None if one is None else _moment(one).isoformat() for one in values]
    assert answers(connection, comparison, "TIMESTAMP", stored) == expected(comparison, raw)


@given(
    comparisons(ColumnType.ARRAY, ELEMENTS | st.booleans() | DOUBLES),
    st.lists(ELEMENTS | st.none(), max_size=4),
)
def test_arrays(connection: Connection, comparison: Comparison, value: list[Any]) -> None:
    comparison = _with_whole_arrays(comparison)
    texts = [one if one is None else str(one) for one in value]
    assert answers(connection, comparison, "VARCHAR[]", [texts]) == expected(comparison, [texts])
    numbers = [one for one in value if not isinstance(one, str)]
    for stored in ("BIGINT[]", "DOUBLE[]"):
        assert answers(connection, comparison, stored, [numbers]) == expected(comparison, [numbers])
    flags = [one if one is None else bool(one) for one in value]
    assert answers(connection, comparison, "BOOLEAN[]", [flags]) == expected(comparison, [flags])
    assert answers(connection, comparison, "VARCHAR[]", [None]) == expected(comparison, [None])


@given(
    comparisons(ColumnType.ARRAY, ELEMENTS | st.booleans() | DOUBLES),
    st.lists(ELEMENTS | st.booleans() | st.none() | DOUBLES | TEXTS, max_size=4),
)
def test_arrays_in_json(connection: Connection, comparison: Comparison, value: list[Any]) -> None:
    comparison = _with_whole_arrays(comparison)
    assert answers(connection, comparison, "VARCHAR", [_json(value)]) == expected(
        comparison, [value]
    )


NUMERIC_TEXTS = st.one_of(
    st.sampled_from(
        [
            "1",
            " 1 ",
            "\t1\n",
            "\u00a01",
            "1.",
            ".5",
            "+1",
            "1e3",
            "1E-2",
            "1e400",
            "nan",
            "inf",
            "0x1",
            *["", " ", "1_000", "1,5", "٣", "--1", "1e", ".", "-.5", "1 1", "00012", "true"],
        ]
    ),
    DOUBLES.map(repr),
    SAFE_INTEGERS.map(str),
    TEXTS,
)


@given(
    comparisons(ColumnType.NUMBER, SAFE_INTEGERS | DOUBLES),
    st.lists(st.none() | NUMERIC_TEXTS, min_size=1, max_size=6),
)
def test_numbers_in_texts(
    connection: Connection, comparison: Comparison, values: list[Any]
) -> None:
    assert read_and_answered(connection, comparison, "VARCHAR", values) == expected(
        comparison, values
    )


INSTANT_TEXTS = st.one_of(
    st.sampled_from(
        [
            "2026-03-01",
            "2026-03-01T00:00:00Z",
            "2026-03-01 01:00:00+01:00",
            "20260301T000000.0000009Z",
            "1772323200",
            "1772323200000",
            "1772323200.5",
            "2026-13-01",
            "",
            "soon",
            "infinity",
            "now",
        ]
    ),
    INSTANTS.map(lambda one: _moment(one).isoformat()),
    TEXTS,
)


@given(
    comparisons(ColumnType.TIMESTAMP, INSTANTS),
    st.lists(st.none() | INSTANT_TEXTS, min_size=1, max_size=6),
)
def test_instants_in_texts(
    connection: Connection, comparison: Comparison, values: list[Any]
) -> None:
    assert read_and_answered(connection, comparison, "VARCHAR", values) == expected(
        comparison, values
    )


@given(
    comparisons(ColumnType.TIMESTAMP, INSTANTS),
    st.lists(
        st.none()
        | st.integers(-(2**63), 2**63 - 1)
        | st.integers(1_772_323_199, 1_772_323_201).flatmap(
            lambda one: st.sampled_from([one, one * 1000, one * 1_000_000])
        ),
        min_size=1,
        max_size=6,
    ),
)
@example(
    Comparison("c", "after", AT, ColumnType.TIMESTAMP),
    [10**11 - 1, 10**11, 10**14 - 1, 10**14, -(10**11), -(10**14), -(2**63)],
)
def test_instants_in_integers(
    connection: Connection, comparison: Comparison, values: list[Any]
) -> None:
    assert read_and_answered(connection, comparison, "BIGINT", values) == expected(
        comparison, values
    )


def read_and_answered(
    connection: Connection, comparison: Comparison, stored: str, values: list[Any]
) -> list[object]:
    assert comparison.type is not None
    read = reading(comparison.column, stored, comparison.type)
    assert read is not None
    column = sql.quoted_name(comparison.column)
    rows = connection.execute(
        f"SELECT {sql.predicate_sql(comparison, AT)} FROM (SELECT {read.sql} AS {column} "
        f"FROM (SELECT unnest(CAST(? AS {stored}[])) AS {column}))",
        [values],
    ).fetchall()
    return [answer for (answer,) in rows]


def test_case_folding_of_every_character(connection: Connection) -> None:
    characters = [chr(one) for one in range(1, 0x110000) if not 0xD800 <= one < 0xE000]
    connection.execute("CREATE OR REPLACE TEMP TABLE every AS SELECT unnest(?) AS c", [characters])
    folded = connection.execute(f"SELECT c, {sql._folded('c')} FROM every").fetchall()
    assert len(folded) == len(characters)
    assert [one for one, result in folded if one.casefold() != result] == []


def test_folding_twice_changes_nothing() -> None:
    _, (sources, targets), expansions = sql._beyond_lower_case()
    results = set(targets).union(*(expansion for _, expansion in expansions))
    assert not results & set(sources).union(one for one, _ in expansions)


def test_a_property_without_a_type_is_refused() -> None:
    with pytest.raises(ValueError, match="not known"):
        sql.predicate_sql(Comparison("plan", "equals", "free"), AT)


def _moment(instant: int) -> datetime:
    return (EPOCH + timedelta(microseconds=instant)).replace(tzinfo=None)


def _with_whole_arrays(comparison: Comparison) -> Comparison:
    """`equals` and `in` compare whole arrays."""
    operand: Any = comparison.operand
    if OPERATORS[comparison.operator].operand is Operand.VALUE:
        operand = (operand,)
    elif OPERATORS[comparison.operator].operand is Operand.VALUES:
        operand = tuple((one,) for one in operand)
    return Comparison(comparison.column, comparison.operator, operand, comparison.type)


def _json(value: object) -> str:
    return json.dumps(value)
