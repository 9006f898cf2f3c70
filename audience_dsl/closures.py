"""Filters as Python functions, for one row at a time: the same meaning as their SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from audience_dsl.definitions import AllOf, AnyOf, Comparison, Filter, Negation
from audience_dsl.operators import holds

# Asked with a row's columns, and the instant that `within_last` and `within_next` mean by now.
Test = Callable[[Mapping[str, object], int], bool]


def compile_filter(where: Filter) -> Test:
    """Whether the filter holds for a row; a column that the row does not have is missing."""
    match where:
        case Comparison(column=column):
            return lambda row, at: holds(where, row.get(column), at=at)
        case AllOf(of):
            every = [compile_filter(one) for one in of]
            return lambda row, at: all(test(row, at) for test in every)
        case AnyOf(of):
            some = [compile_filter(one) for one in of]
            return lambda row, at: any(test(row, at) for test in some)
        case Negation(inner):
            test = compile_filter(inner)
            return lambda row, at: not test(row, at)
