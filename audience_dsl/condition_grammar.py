"""Conditions and filters: the part of the grammar inside an audience's `where`."""

from __future__ import annotations

from audience_dsl.durations import DAY
from audience_dsl.operators import OPERATORS
from audience_dsl.related_grammar import RELATED
from audience_dsl.shapes import (
    Duration,
    Either,
    Field,
    Flag,
    Forms,
    Integer,
    ListOf,
    MapOf,
    Name,
    OneOf,
    Operand,
    Record,
    Reference,
    Text,
)

COUNT_MOST = 10_000
WINDOW_MOST = DAY

_TOO_MANY = "a count above 10,000 is not supported"
_NEGATIVE = "a count is never negative"
_NAME = Text("a name")

_COUNTS = (
    Field(
        "at_least",
        Integer(1, COUNT_MOST, "at least 0 is true for everybody", _TOO_MANY),
        "That many or more.",
        default="1",
        synonyms=("minimum", "min_count", "gte"),
    ),
    Field(
        "at_most",
        Integer(0, COUNT_MOST, _NEGATIVE, _TOO_MANY),
        "That many or fewer, none included.",
        synonyms=("maximum", "max_count", "lte", "up_to"),
    ),
    Field(
        "exactly",
        Integer(0, COUNT_MOST, _NEGATIVE, _TOO_MANY),
        "That many.",
        synonyms=("equals", "count", "times", "eq"),
    ),
    Field(
        "more_than",
        Integer(0, COUNT_MOST - 1, "more than a negative count is true for everybody", _TOO_MANY),
        "More.",
        synonyms=("greater_than", "gt", "over"),
    ),
    Field(
        "less_than",
        Integer(1, COUNT_MOST + 1, "no count is less than 0", _TOO_MANY),
        "Fewer, none included.",
        synonyms=("fewer_than", "lt", "under"),
    ),
    Field(
        "between",
        ListOf(Integer(0, COUNT_MOST, _NEGATIVE, _TOO_MANY), length=2),
        "From the first to the second, both included.",
        synonyms=("range",),
    ),
)
_ONE_COUNT = OneOf(
    tuple(count.name for count in _COUNTS), "count", instead="a range is between: [a, b]"
)

_WITHIN = Field(
    "within",
    Duration(WINDOW_MOST, "a window of more than 24 hours cannot be evaluated live"),
    "The trailing window that is counted, at most `24h`.",
    required=True,
    instead="add within: 24h, or any shorter window such as 10m; a longer history is a column "
    "of the parent model",
    synonyms=("window", "lookback", "in_last", "in_the_last", "during", "period", "timeframe"),
)
_WHERE = Field(
    "where",
    Reference("filter"),
    "Which of the events count.",
    default="all",
    synonyms=("filter", "with", "having", "properties"),
)
_AGGREGATES = tuple(
    Field(
        name,
        Operand(OPERATORS["equals"]),
        "An aggregate of a property.",
        refused="only the number of events can be compared, not an aggregate of their properties",
        instead="count the events that matter, as in where: {amount: {at_least: 100}} with "
        "at_least: 1, or use a column of the parent model",
    )
    for name in ("sum", "avg", "min", "max", "distinct")
)

OPERATOR_FIELDS = (
    *(Field(one.name, Operand(one), f"The value {one.meaning}.") for one in OPERATORS.values()),
    Field("ignore_case", Flag(), "Texts are compared without regard to case.", default="false"),
)
_ONE_OPERATOR = OneOf(
    tuple(OPERATORS),
    "operator",
    required=True,
    instead="two comparisons are two conditions in a list under all",
)
_SOME_OPERATOR = Record(
    "operators", "One or more operators, all of which must hold.", OPERATOR_FIELDS
)


def _group(name: str, member: str, doc: str) -> Record:
    shape = Reference(member) if name == "not" else ListOf(Reference(member))
    return Record(name, doc, (Field(name, shape, doc, required=True),))


def _groups(member: str) -> dict[str, Record]:
    return {
        "all": _group("all", member, "True if all are true."),
        "any": _group("any", member, "True if one or more are true."),
        "none": _group("none", member, "True if none is true."),
        "not": _group("not", member, "True if it is not true."),
    }


FILTER = Forms(
    "filter",
    {
        "property": Record(
            "property",
            "Compares one property of the event, or one column of the row.",
            (Field("property", _NAME, "Its alias.", required=True), *OPERATOR_FIELDS),
            (_ONE_OPERATOR,),
        ),
        **_groups("filter"),
    },
    otherwise=MapOf(_NAME, Either(Operand(OPERATORS["equals"]), _SOME_OPERATOR)),
    bare=ListOf(Reference("filter")),
)

CONDITION = Forms(
    "condition",
    {
        "performed": Record(
            "performed",
            "Compares how many of the events the trailing window holds.",
            (
                Field("performed", Name("events"), "The event.", required=True),
                *_COUNTS,
                _WITHIN,
                _WHERE,
                *_AGGREGATES,
            ),
            (_ONE_COUNT,),
        ),
        "did_not_perform": Record(
            "did_not_perform",
            "True if the trailing window holds none of the events.",
            (
                Field("did_not_perform", Name("events"), "The event.", required=True),
                _WITHIN,
                _WHERE,
            ),
        ),
        "property": Record(
            "property",
            "Compares one column of the parent model in the warehouse snapshot.",
            (Field("property", _NAME, "The column.", required=True), *OPERATOR_FIELDS),
            (_ONE_OPERATOR,),
        ),
        "in_audience": Record(
            "in_audience",
            "True for the members of another audience of the same parent model.",
            (Field("in_audience", Name("audiences"), "The other audience.", required=True),),
        ),
        "not_in_audience": Record(
            "not_in_audience",
            "True for those who are no members of it.",
            (Field("not_in_audience", Name("audiences"), "The other audience.", required=True),),
        ),
        **_groups("condition"),
        "trait": Record(
            "trait",
            "A computed column of the parent model.",
            (),
            refused="conditions on traits are not supported yet",
            instead="compute the column in the warehouse and use property: NAME",
        ),
        "related": RELATED,
    },
)
