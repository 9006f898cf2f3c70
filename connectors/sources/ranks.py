"""The places of numbers among the operands of comparisons."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from types import NoneType

import numpy as np

from engine.plan import Int64s

_EXACT = 1 << 53  # integers below are exact as floats


class Ranks:
    """Rank `2 i + 1` is the `i`-th operand itself, `2 i` lies between it and the one before.

    The last of `count` ranks is that of a missing number.
    """

    def __init__(self, operands: Iterable[float]) -> None:
        self._operands = sorted(set(operands))
        self._as_floats = np.array(self._operands or [0.0], dtype=np.float64)
        self._exact = all(abs(one) < _EXACT for one in self._operands)
        self.count = 2 * len(self._operands) + 2

    def of(self, number: float) -> int:
        """The rank of a number; integers and floats of any size are compared exactly."""
        i = bisect_left(self._operands, number)
        return 2 * i + (i < len(self._operands) and self._operands[i] == number)

    def of_all(self, values: Sequence[object]) -> Int64s | None:
        """The ranks of many values at once, or `None` if they are not all numbers or missing."""
        kinds = set(map(type, values))
        if not (self._operands and self._exact and kinds <= {int, float, NoneType}):
            return None
        try:
            numbers = np.array(values, dtype=np.float64)  # what is missing becomes NaN
        except OverflowError:
            return None
        if int in kinds and (np.abs(numbers) >= _EXACT).any():
            return None
        places = np.searchsorted(self._as_floats, numbers)
        ranks = 2 * places
        ranks += self._as_floats[np.minimum(places, len(self._operands) - 1)] == numbers
        ranks[np.isnan(numbers)] = self.count - 1
        return ranks
