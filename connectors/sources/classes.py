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
from engine.plan import Int64s

_REMEMBERED = 1 << 16
_BY_EQUALITY = frozenset({"equals", "not_equals", "in", "not_in", "exists"})
_SCALARS = (str, int, float, type(None))


class ValueClasses(dict[object, int]):
    """The class of each value at one path; texts that have been seen are remembered.

    `outcomes[c]` tells of class `c` which comparisons hold: bit `i` for the `i`-th one.
    """

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        super().__init__()
        self.outcomes: list[int] = []
        self._class_of: dict[int, int] = {}
        self._comparisons = tuple(comparisons)
        self._timed = self._bits(_is_timed)
        self._open = ((1 << len(comparisons)) - 1) & ~self._timed  # the value alone decides
        self._settled_for_texts = self._bits(_equality_settles)
        self._settled_for_numbers = self._bits(_order_settles)
        self._operands = {text for one in comparisons for text in _leaves(one.operand, str)}
        self._ranks = Ranks(cut for one in comparisons for cut in _leaves(one.operand, int, float))
        self._ranks_settle = not ((1 << len(comparisons)) - 1) & ~self._settled_for_numbers
        self._class_of_rank = np.full(self._ranks.count, -1, dtype=np.int64)
        self._of_text: dict[str | None, int] = {}
        self._of_flag: dict[bool, int] = {}
        self._of_rank: dict[int, int] = {}

    def of(self, values: Sequence[object], instants: Int64s) -> Int64s:
        """The class of each value; `instants` are those of the events."""
        if self._ranks_settle and (ranked := self._of_numbers(values)) is not None:
            return ranked
        try:
            classes = np.fromiter(map(self.__getitem__, values), np.int64, len(values))
        except TypeError:  # an array or an object, which cannot be looked up
            classes = np.array(
                [
                    self[one] if isinstance(one, _SCALARS) else self.__missing__(one)
                    for one in values
                ],
                dtype=np.int64,
            )
        if self._timed:
            for i, (value, at) in enumerate(zip(values, instants.tolist(), strict=True)):
                timed = self._evaluate(value, self._timed, at)
                classes[i] = self._numbered(self.outcomes[classes[i]] | timed)
        return classes

    def _of_numbers(self, values: Sequence[object]) -> Int64s | None:
        """The classes of numbers and missing values alone, without looking at them one by one."""
        ranks = self._ranks.of_all(values)
        if ranks is None:
            return None
        classes = self._class_of_rank[ranks]
        for rank in np.unique(ranks[classes < 0]).tolist():
            self._class_of_rank[rank] = self[values[int(np.argmax(ranks == rank))]]
        return self._class_of_rank[ranks]

    @property
    def is_full(self) -> bool:
        """Whether so many classes have been met that they should be forgotten."""
        return len(self.outcomes) > _REMEMBERED

    def forget(self) -> None:
        """Forget all values and classes; numbers begin anew."""
        self.clear()
        self.outcomes.clear()
        self._class_of.clear()
        self._class_of_rank[:] = -1

    def __missing__(self, value: object) -> int:
        if isinstance(value, str):
            if len(self) >= _REMEMBERED:
                self.clear()
            self[value] = number = self._numbered(self._text_outcome(value))
            return number
        if isinstance(
            value, bool
        ):  # never a key of this dictionary, where it would pass for 0 or 1
            if value not in self._of_flag:
                self._of_flag[value] = self._evaluate(value, self._open)
            return self._numbered(self._of_flag[value])
        if isinstance(value, int | float):
            return self._numbered(self._number_outcome(value))
        number = self._numbered(self._evaluate(value, self._open))
        if value is None:
            self[value] = number
        return number

    def _text_outcome(self, text: str) -> int:
        operand = text if text in self._operands else None
        if operand not in self._of_text:
            self._of_text[operand] = self._evaluate(text, self._open & self._settled_for_texts)
        return self._of_text[operand] | self._evaluate(text, self._open & ~self._settled_for_texts)

    def _number_outcome(self, number: float) -> int:
        if number != number:  # noqa: PLR0124 - NaN; `isnan` fails for integers beyond floats
            return self._evaluate(None, self._open)
        rank = self._ranks.of(number)
        if rank not in self._of_rank:
            self._of_rank[rank] = self._evaluate(number, self._open & self._settled_for_numbers)
        return self._of_rank[rank] | self._evaluate(number, self._open & ~self._settled_for_numbers)

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
