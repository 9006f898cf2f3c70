"""The meaning of one operator on one value."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.definitions import ColumnType, Comparison
from audience_dsl.instants import SECOND, read_instant
from audience_dsl.operators import OPERATORS, Operand, holds, read_number

STRING, NUMBER = ColumnType.STRING, ColumnType.NUMBER
BOOLEAN, TIMESTAMP, ARRAY = ColumnType.BOOLEAN, ColumnType.TIMESTAMP, ColumnType.ARRAY
DAY = 86_400 * SECOND
NOW = 1_772_359_200 * SECOND


def true(
    operator: str, operand: Any, raw: object, kind: ColumnType | None = None, **more: Any
) -> bool:
    return holds(Comparison("c", operator, operand, kind, **more), raw, at=NOW)


@pytest.mark.parametrize(
    ("operator", "operand", "raw", "kind"),
    [
        ("equals", "a", "a", STRING),
        ("equals", 5, 5.0, NUMBER),
        ("equals", 5, "5", NUMBER),
        ("equals", 5, " 5.0 ", NUMBER),
        ("equals", 2**53 + 1, str(2**53 + 1), NUMBER),
        ("equals", NOW, "2026-03-01T11:00:00+01:00", TIMESTAMP),
        ("equals", True, True, BOOLEAN),
        ("equals", ("a", 1), ["a", 1.0], ARRAY),
        ("equals", "5", "5", None),
        ("not_equals", "a", "b", STRING),
        ("not_equals", 5, 6, None),
        ("in", ("a", 5), 5, None),
        ("not_in", ("a", 5), "b", None),
        ("exists", True, "", STRING),
        ("exists", True, {"a": 1}, None),
        ("exists", False, None, STRING),
        ("exists", False, "much", NUMBER),
        ("exists", False, math.nan, None),
        ("contains", "b", "abc", STRING),
        ("contains", "", "", STRING),
        ("not_starts_with", "b", "abc", STRING),
        ("ends_with", "bc", "abc", None),
        ("matches", "^a.c$", "abc", STRING),
        ("matches", "b", "abc", STRING),
        ("matches", "b", "a\ud800b", STRING),
        ("greater_than", 3, "1e1", NUMBER),
        ("at_least", 3, 3, None),
        ("between", (1, 3), 1, NUMBER),
        ("between", (1, 3), 3, NUMBER),
        ("not_between", (1, 3), 3.5, NUMBER),
        ("before", NOW, NOW / SECOND - 1, TIMESTAMP),
        ("after", NOW, "2026-03-01T10:00:00.000001Z", TIMESTAMP),
        ("within_last", DAY, "2026-03-01T10:00:00Z", TIMESTAMP),
        ("within_last", DAY, "2026-02-28T10:00:00.000001Z", None),
        ("within_next", DAY, "2026-03-01T10:00:00Z", TIMESTAMP),
        ("is", False, False, BOOLEAN),
        ("has_any", ("a", "b"), ["b"], ARRAY),
        ("has_all", ("a", 1), [1, "a", None], None),
        ("has_none", ("a",), [], ARRAY),
    ],
)
def test_true(operator: str, operand: Any, raw: object, kind: ColumnType | None) -> None:
    assert true(operator, operand, raw, kind)


@pytest.mark.parametrize(
    ("operator", "operand", "raw", "kind"),
    [
        ("equals", "a", "A", STRING),
        ("equals", 5, "5", None),
        ("equals", "5", 5, None),
        ("equals", 1, True, None),
        ("equals", 1, True, NUMBER),
        ("equals", True, 1, None),
        ("equals", 0, False, NUMBER),
        ("not_equals", 5, "6", None),
        ("not_equals", "a", 5, STRING),
        ("not_in", ("a",), 5, None),
        ("equals", "5", 5, STRING),
        ("exists", True, "much", NUMBER),
        ("contains", "a", ["a"], STRING),
        ("not_contains", "a", 5, None),
        ("greater_than", 3, "١٢", NUMBER),
        ("greater_than", 3, "1_000", NUMBER),
        ("greater_than", 3, "Infinity", NUMBER),
        ("greater_than", 3, "1e999", NUMBER),
        ("greater_than", 3, True, None),
        ("not_between", (1, 3), math.nan, NUMBER),
        ("before", NOW, "yesterday", TIMESTAMP),
        ("before", NOW, True, TIMESTAMP),
        ("within_last", DAY, "2026-02-28T10:00:00Z", TIMESTAMP),
        ("within_last", DAY, "2026-03-01T10:00:00.000001Z", TIMESTAMP),
        ("within_next", DAY, "2026-03-02T10:00:00Z", TIMESTAMP),
        ("is", True, "true", BOOLEAN),
        ("is", True, 1, None),
        ("has_any", (1,), [True], None),
        ("has_none", ("a",), "b", None),
        ("has_any", ("a",), {"a": 1}, ARRAY),
        ("equals", ("a",), ["a", "b"], ARRAY),
    ],
)
def test_false(operator: str, operand: Any, raw: object, kind: ColumnType | None) -> None:
    assert not true(operator, operand, raw, kind)


def test_case_is_folded_only_where_it_is_asked_for() -> None:
    assert true("equals", "STRASSE", "straße", STRING, ignore_case=True)
    assert true("in", ("A", "B"), "b", STRING, ignore_case=True)
    assert true("contains", "ÄB", "xäbx", STRING, ignore_case=True)
    assert true("matches", "a|B", "xAx", STRING, ignore_case=True)
    assert not true("not_ends_with", "B", "ab", STRING, ignore_case=True)
    assert not true("ends_with", "B", "ab", STRING)


_OPERANDS: dict[Operand, Any] = {
    Operand.VALUE: 1,
    Operand.VALUES: (1,),
    Operand.PAIR: (1, 2),
    Operand.TEXT: "a",
    Operand.PATTERN: "a",
    Operand.FLAG: True,
    Operand.DURATION: DAY,
    Operand.ELEMENTS: ("a",),
}
_FITTING = [(one.name, kind) for one in OPERATORS.values() for kind in (*sorted(one.types), None)]


@pytest.mark.parametrize(("operator", "kind"), _FITTING)
@pytest.mark.parametrize("raw", [None, math.nan])
def test_a_missing_value_makes_every_operator_false(
    operator: str, kind: ColumnType | None, raw: object
) -> None:
    assert not true(operator, _OPERANDS[OPERATORS[operator].operand], raw, kind)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(VALUES, st.sampled_from(_FITTING))
def test_any_value_has_an_answer(raw: object, fitting: tuple[str, ColumnType | None]) -> None:
    operator, kind = fitting
    operand: Any = _OPERANDS[OPERATORS[operator].operand]
    if kind is STRING and operand == 1:
        operand = "1"
    assert true(operator, operand, raw, kind) in (True, False)


@given(VALUES, st.sampled_from([STRING, None]), st.text())
def test_an_operator_and_its_opposite_differ_exactly_where_a_value_is_there(
    raw: object, kind: ColumnType | None, operand: str
) -> None:
    there = isinstance(raw, str)
    for one in OPERATORS.values():
        if one.negates and one.operand is Operand.TEXT:
            both = [true(name, operand, raw, kind) for name in (one.name, one.negates)]
            assert sum(both) == there


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_from_its_text(number: float) -> None:
    if abs(number) < 1e308:
        assert read_number(repr(number)) == number


@given(st.text(alphabet="0123456789+-.eE _", max_size=20))
def test_what_is_a_number_is_what_json_or_a_person_would_write(text: str) -> None:
    number = read_number(text)
    if number is not None:
        assert number == float(text)
        assert "_" not in text


def test_a_long_text_of_digits_is_read_quickly() -> None:
    assert read_number("9" * 1_000_000) is None
    assert read_instant("9" * 1_000_000) is None
