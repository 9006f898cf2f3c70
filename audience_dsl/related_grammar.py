"""Conditions on related models: the part of the grammar that compares what their rows give."""

from __future__ import annotations

from audience_dsl.operators import OPERATORS
from audience_dsl.shapes import (
    Field,
    Flag,
    Integer,
    ListOf,
    Name,
    OneOf,
    Operand,
    Record,
    Reference,
    Shape,
    Text,
)

COUNT_MOST = 1_000_000_000

_TOO_MANY = "a count above 1,000,000,000 is not supported"
_NEGATIVE = "a count is never negative"
_ANY_COUNT = Integer(0, COUNT_MOST, _NEGATIVE, _TOO_MANY)

# How many rows there are, by the words that event conditions have for it.
COUNTS: dict[str, Shape] = {
    "at_least": Integer(1, COUNT_MOST, "at least 0 is true for everybody", _TOO_MANY),
    "at_most": _ANY_COUNT,
    "exactly": _ANY_COUNT,
    "more_than": _ANY_COUNT,
    "less_than": Integer(1, COUNT_MOST, "no count is less than 0", _TOO_MANY),
    "between": ListOf(_ANY_COUNT, length=2),
    "none": Flag(),
}
# The operators of numbers that those words stand for.
COUNT_OPERATORS = {name: name for name in COUNTS} | {
    "exactly": "equals",
    "more_than": "greater_than",
    "none": "equals",
}

AGGREGATES = {
    "sum": "The sum of this column of numbers; without rows 0.",
    "avg": "Its average; missing without rows.",
    "min": "The least of it; missing without rows.",
    "max": "The greatest of it; missing without rows.",
    "distinct": "How many different values the column has, of whatever type but arrays.",
}
# The operators that compare an aggregate, all of which fit numbers.
AGGREGATE_OPERATORS = (
    "equals", "not_equals", "in", "not_in", "exists", "greater_than", "at_least", "less_than",
    "at_most", "between", "not_between",
)  # fmt: skip

_MEANINGS = {
    "at_least": "That many rows or more, or an aggregate of that or more.",
    "at_most": "That many rows or fewer, none included, or an aggregate of that or less.",
    "less_than": "Fewer rows, none included, or a smaller aggregate.",
    "between": "From the first to the second, both included.",
    "exactly": "That many rows.",
    "more_than": "More rows.",
    "none": "`true`: there is no row; `false`: there is one or more.",
}


def _comparisons() -> tuple[Field, ...]:
    fields = []
    for name in dict.fromkeys((*COUNTS, *AGGREGATE_OPERATORS)):
        both = name in AGGREGATE_OPERATORS
        meaning = _MEANINGS.get(name) or f"The aggregate {OPERATORS[name].meaning}."
        default = "1" if name == "at_least" else ""
        shape = Operand(OPERATORS[name]) if both else COUNTS[name]
        fields.append(Field(name, shape, meaning, default=default))
    return tuple(fields)


_COMPARISONS = _comparisons()

RELATED = Record(
    "related",
    "Compares how many rows of a related model a user has, or an aggregate of one of their "
    "columns, in the warehouse snapshot.",
    (
        Field("related", Name("related_models"), "The related model.", required=True),
        *(Field(name, Text("a column"), doc) for name, doc in AGGREGATES.items()),
        *_COMPARISONS,
        Field(
            "where",
            Reference("filter"),
            "Which of the rows count.",
            default="all",
            synonyms=("filter", "with", "having", "properties"),
        ),
    ),
    (
        OneOf(
            tuple(AGGREGATES),
            "aggregate",
            instead="two comparisons are two conditions in a list under all",
        ),
        OneOf(
            tuple(one.name for one in _COMPARISONS),
            "comparison",
            instead="a range is between: [a, b]",
        ),
    ),
)
