"""Which conditions count a record: the filters of a plan, compiled.

Whether conditions count a record depends only on the classes of the values that their filters look
at, so each combination of classes is evaluated once and looked up from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np

from audience_dsl.definitions import AllOf, AnyOf, Comparison, Filter, Negation, ParentPlan
from connectors.sources.classes import ValueClasses
from connectors.sources.combinations import Combinations
from connectors.sources.decoding import Records
from connectors.sources.interests import Interest
from connectors.sources.paths import Path
from engine.plan import Booleans, Int32s, Int64s, Lists

# A filter, asked with the outcome of the value at each path that the listener looks at.
Test = Callable[[Sequence[int]], bool]

# The comparisons at each path, numbered.
Asked = dict[Path, dict[tuple[Comparison, str], int]]


class ConditionSets:
    """Every set of conditions of one plan that some record has matched, numbered.

    Set 0 is empty: a record that no condition counts.  Per set, `tallied` tells whether a condition
    of the definitions, not an implicit one, is in it, and `emitted` whether the core wants to know;
    of the empty one, if `emits_empty` and there are audiences.
    """

    def __init__(self, plan: ParentPlan, *, emits_empty: bool = True) -> None:
        self._implicit = {n for n, one in enumerate(plan.conditions) if one.implicit}
        self._emits_empty = emits_empty and len(plan.plan.audiences) > 0
        self._numbers: dict[tuple[int, ...], int] = {(): 0}
        self._described = 0
        self._lists = Lists.of([])
        self._tallied = np.empty(0, dtype=np.bool_)

    def number(self, conditions: tuple[int, ...]) -> int:
        return self._numbers.setdefault(conditions, len(self._numbers))

    def conditions(self, number: int) -> tuple[int, ...]:
        return next(islice(self._numbers, number, None))

    @property
    def lists(self) -> Lists:
        self._describe()
        return self._lists

    @property
    def tallied(self) -> Booleans:
        self._describe()
        return self._tallied

    @property
    def emitted(self) -> Booleans:
        self._describe()
        return self._emitted

    def _describe(self) -> None:
        """Add the sets that are new to the arrays."""
        if self._described == len(self._numbers):
            return
        new = list(islice(self._numbers, self._described, None))
        self._described = len(self._numbers)
        self._lists = self._lists.extended(new)
        tallied = np.array([not self._implicit.issuperset(one) for one in new])
        self._tallied = np.concatenate([self._tallied, tallied])
        self._emitted = np.ones(self._described, dtype=np.bool_)
        self._emitted[0] = self._emits_empty


class Listener:
    """The conditions that one reading of a route's records is held against."""

    def __init__(self, interests: Sequence[Interest], sets: ConditionSets) -> None:
        self._sets = sets
        self._tests: list[tuple[int, Test]] = []
        asked: Asked = {}
        for interest in interests:
            for number, where in interest.conditions:
                self._tests.append((number, _compiled(where, interest, asked)))
        self._paths = list(asked)
        self._classes = [ValueClasses([one for one, _ in known]) for known in asked.values()]
        self._combinations = Combinations(self._set_of)

    def sets(self, records: Records, rows: Int64s, instants: Int64s) -> Int32s:
        """The number of the set of conditions that count each of some records."""
        if not self._paths:
            return np.full(len(rows), self._set_of(()), dtype=np.int32)
        if any(classes.is_full for classes in self._classes):
            for classes in self._classes:
                classes.forget()
            self._combinations.forget()
        columns = [
            classes.of(records.column(path).taken(rows), instants)
            for path, classes in zip(self._paths, self._classes, strict=True)
        ]
        return self._combinations.of(columns, [len(one.outcomes) for one in self._classes])

    def _set_of(self, classes: tuple[int, ...]) -> int:
        outcomes = [
            known.outcomes[number] for known, number in zip(self._classes, classes, strict=False)
        ]
        counting = {number for number, test in self._tests if test(outcomes)}
        return self._sets.number(tuple(sorted(counting)))


def _compiled(where: Filter | None, interest: Interest, asked: Asked) -> Test:
    """The filter as a test of outcomes; the comparisons it needs are added to those `asked`."""
    match where:
        case None:
            return lambda _: True
        case Comparison():
            path = interest.path_of(where)
            comparisons = asked.setdefault(path, {})
            # The operand's text tells true from 1, which are equal in Python.
            bit = 1 << comparisons.setdefault((where, repr(where.operand)), len(comparisons))
            column = list(asked).index(path)
            return lambda outcomes: bool(outcomes[column] & bit)
        case AllOf(of):
            every = [_compiled(one, interest, asked) for one in of]
            return lambda outcomes: all(test(outcomes) for test in every)
        case AnyOf(of):
            some = [_compiled(one, interest, asked) for one in of]
            return lambda outcomes: any(test(outcomes) for test in some)
        case Negation(inner):
            test = _compiled(inner, interest, asked)
            return lambda outcomes: not test(outcomes)
