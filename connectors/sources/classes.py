"""Values that no comparison tells apart are one class.

Filters are evaluated per distinct value, not per event.  For all comparisons that look at one
path, a value's *outcome* is the set of those that hold, and values of equal outcome share a class
number; behind this module nobody sees a value again.  Most values are classified without
evaluating anything:

- a text that only equality asks about is either one of the operands or "another one";
- a number's outcome depends only on its place among the operands;
- any other text is looked up among those seen before, as long as they are not too many.

`within_last` and `within_next` depend on the event's own instant and are evaluated every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from audience_dsl.definitions import ColumnType, Comparison
from audience_dsl.operators import OPERATORS, Operand, holds
from connectors.sources.ranks import Ranks
from connectors.sources.tokens import KINDS, MISSING, NUMBER, TEXT, Tokens
from connectors.sources.vocabulary import LOOKED_UP, REMEMBERED, UNKNOWN, Vocabulary
from engine.plan import Int64s

_BY_EQUALITY = frozenset({"equals", "not_equals", "in", "not_in", "exists"})


class ValueClasses:
    """The class of each value at one path.

    `outcomes[c]` tells of class `c` which comparisons hold: bit `i` for the `i`-th one.
    """

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        self.outcomes: list[int] = []
        self._class_of: dict[int, int] = {}
        self._comparisons = tuple(comparisons)
        self._timed = self._bits(_is_timed)
        self._open = ((1 << len(comparisons)) - 1) & ~self._timed  # the value alone decides
        self._operands = sorted({text for one in comparisons for text in _leaves(one.operand, str)})
        self._equality_settles = not self._timed and all(map(_equality_settles, comparisons))
        self._other_text = "".join(self._operands) + "."  # longer than any, so none of them
        self._ranks = Ranks(cut for one in comparisons for cut in _leaves(one.operand, int, float))
        self._order_settles = self._ranks.are_exact and all(map(_order_settles, comparisons))
        self._vocabulary = Vocabulary()
        self.forget()

    def of(self, tokens: Tokens, instants: Int64s) -> Int64s:
        """The class of each value; `instants` are those of the events."""
        classes, unknown = self._vocabulary.find(tokens, self._class_of_kind, self._class_of_other)
        if unknown and self._order_settles:
            unknown -= self._ranks.find(tokens, self._class_of_rank, classes)
        met: dict[tuple[int, bytes], int] = {}
        for i in np.flatnonzero(classes == UNKNOWN).tolist() if unknown else ():
            written = int(tokens.kinds[i]), tokens.raw(i)
            if written not in met:
                met[written] = self._learned(tokens, i)
            classes[i] = met[written]
        if self._timed:
            for i, at in enumerate(instants.tolist()):
                timed = self._evaluate(tokens.value(i), self._timed, at)
                classes[i] = self._numbered(self.outcomes[classes[i]] | timed)
        return classes

    @property
    def is_full(self) -> bool:
        """Whether so many classes have been met that they should be forgotten."""
        return len(self.outcomes) > REMEMBERED

    def forget(self) -> None:
        """Forget all values and classes; numbers begin anew."""
        self.outcomes.clear()
        self._class_of.clear()
        self._vocabulary.clear()
        self._class_of_rank = np.full(self._ranks.count, UNKNOWN, dtype=np.int64)
        self._class_of_kind = np.full(KINDS, LOOKED_UP, dtype=np.int64)
        self._class_of_kind[MISSING] = self._class(None)
        if self._order_settles:
            self._class_of_kind[NUMBER] = UNKNOWN
        self._class_of_other = np.full(KINDS, UNKNOWN, dtype=np.int64)
        if self._equality_settles:
            operands = Tokens.of(self._operands)
            for i, text in enumerate(self._operands):
                self._vocabulary.put(operands, i, self._class(text))
            self._class_of_other[TEXT] = self._class(self._other_text)

    def _learned(self, tokens: Tokens, i: int) -> int:
        """The class of a value that was not known; it is, from now on."""
        value = tokens.value(i)
        number = self._class(value)
        if self._order_settles and tokens.kinds[i] == NUMBER:
            if isinstance(value, int | float):
                self._class_of_rank[self._ranks.of(value)] = number
        elif not self._equality_settles:
            self._vocabulary.put(tokens, i, number)
        return number

    def _class(self, value: object) -> int:
        return self._numbered(self._evaluate(value, self._open))

    def _evaluate(self, value: object, which: int, at: int = 0) -> int:
        outcome = 0
        while which:
            lowest = which & -which
            which ^= lowest
            if holds(self._comparisons[lowest.bit_length() - 1], value, at=at):
                outcome |= lowest
        return outcome

    def _numbered(self, outcome: int) -> int:
        number = self._class_of.setdefault(outcome, len(self.outcomes))
        if number == len(self.outcomes):
            self.outcomes.append(outcome)
        return number

    def _bits(self, test: Callable[[Comparison], bool]) -> int:
        return sum(1 << i for i, one in enumerate(self._comparisons) if test(one))


def _is_timed(comparison: Comparison) -> bool:
    return OPERATORS[comparison.operator].operand is Operand.DURATION


def _reads_instants(comparison: Comparison) -> bool:
    fits = OPERATORS[comparison.operator].types
    return comparison.type is ColumnType.TIMESTAMP or fits == {ColumnType.TIMESTAMP}


def _equality_settles(comparison: Comparison) -> bool:
    """Whether all texts but the operands have the same outcome."""
    if comparison.type in (ColumnType.BOOLEAN, ColumnType.ARRAY):
        return True  # a text is missing then, whatever it says
    if comparison.type is ColumnType.NUMBER or _reads_instants(comparison):
        return False
    return comparison.operator in _BY_EQUALITY and not comparison.ignore_case


def _order_settles(comparison: Comparison) -> bool:
    """Whether all numbers between the same two operands have the same outcome."""
    return not _reads_instants(comparison)


def _leaves(operand: object, *types: type) -> Iterator[Any]:
    for one in operand if isinstance(operand, tuple) else (operand,):
        if isinstance(one, types) and not isinstance(one, bool):
            yield one
