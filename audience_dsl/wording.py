"""Conditions in words: how they are named to people, and what tells two of them apart.

The words of equal conditions are equal, and those of different conditions differ: whatever could
be mistaken for another part of the sentence stands in quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from audience_dsl.definitions import (
    AllOf,
    AnyOf,
    ColumnType,
    Comparison,
    EventCondition,
    Filter,
    Literal,
    Negation,
    RelatedComparison,
    WarehousePredicate,
)
from audience_dsl.durations import format_duration
from audience_dsl.instants import format_instant
from audience_dsl.operators import OPERATORS, Operand
from audience_dsl.scalars import core_number

_PLAIN = re.compile(r"[\w/.@-]+")
_RESERVED = frozenset({"true", "false", "and", "or", "not", "within"})

Naming = Callable[[str], str]


def condition_words(of: EventCondition, window: int, minimum: int, maximum: int | None) -> str:
    """`performed page_viewed where path equals /pricing at least 3 times within 10m`."""
    within = f"within {format_duration(window)}"
    if maximum == 0:
        return f"did not perform {event_words(of)} {within}"
    return f"performed {event_words(of)} {_count_words(minimum, maximum)} {within}"


def event_words(of: EventCondition) -> str:
    """`page_viewed where path equals /pricing`."""
    events = "any event" if of.implicit else " or ".join(of.events)
    where = f" where {filter_words(of.where)}" if of.where is not None else ""
    return f"{events}{where}"


def filter_words(where: Filter, naming: Naming | None = None) -> str:
    """A filter in words; `naming` may put other names in the place of the columns' own."""
    match where:
        case AllOf(of):
            return " and ".join(sorted({_enclosed(one, naming) for one in of}))
        case AnyOf(of):
            return " or ".join(sorted({_enclosed(one, naming) for one in of}))
        case Negation(of=inner):
            return f"not ({filter_words(inner, naming)})"
        case Comparison():
            return comparison_words(where, naming)


def comparison_words(comparison: Comparison, naming: Naming | None = None) -> str:
    """`ltv greater than 300`."""
    column = _text_words(naming(comparison.column) if naming else comparison.column)
    operator, operand = comparison.operator, comparison.operand
    if operator == "exists":
        return f"{column} exists" if operand else f"{column} is missing"
    if OPERATORS[operator].operand is Operand.DURATION and isinstance(operand, int):
        value = format_duration(operand)
    else:
        value = _literal_words(operand, comparison.type)
    ignoring = " ignoring case" if comparison.ignore_case else ""
    return f"{column} {operator.replace('_', ' ')} {value}{ignoring}"


def predicate_words(of: WarehousePredicate, naming: Naming | None = None) -> str:
    """`ltv greater than 300`, `count of orders (status equals paid) at least 3`."""
    if isinstance(of, Comparison):
        return comparison_words(of, naming)
    _, _, test = comparison_words(of.over("x")).partition(" ")
    return f"{aggregate_words(of, naming)} {test}"


def aggregate_words(of: RelatedComparison, naming: Naming | None = None) -> str:
    """`sum of amount of orders (status equals paid)`."""
    column = f"{_text_words(naming(of.column) if naming else of.column)} of " if of.column else ""
    where = f" ({filter_words(of.where, naming)})" if of.where is not None else ""
    return f"{of.aggregate} of {column}{_text_words(of.model.key)}{where}"


def _enclosed(where: Filter, naming: Naming | None) -> str:
    words = filter_words(where, naming)
    return f"({words})" if isinstance(where, AllOf | AnyOf) else words


def _count_words(minimum: int, maximum: int | None) -> str:
    if maximum is None:
        return f"at least {_times(minimum)}"
    if minimum == maximum:
        return f"exactly {_times(minimum)}"
    if minimum == 0:
        return f"at most {_times(maximum)}"
    return f"{minimum} to {_times(maximum)}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _literal_words(value: Literal, read_as: ColumnType | None) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text_words(value)
        case tuple():
            return f"[{', '.join(_literal_words(one, read_as) for one in value)}]"
        case int() if read_as is ColumnType.TIMESTAMP:
            return format_instant(value)
        case _:
            return repr(value)


def _text_words(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and text not in _RESERVED and core_number(text) is None
    return text if plain else json.dumps(text, ensure_ascii=False)
