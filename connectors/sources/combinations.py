"""Numbers looked up by a combination of classes: evaluated once, then found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from engine.plan import Int32s, Int64s

_DENSE = 1 << 18
_REMEMBERED = 1 << 16


class Combinations(dict[tuple[int, ...], int]):
    """What `evaluate` says of each combination of one class a column.

    A table has a cell for each combination as long as that are not too many; else those that
    occur are remembered one by one.
    """

    def __init__(self, evaluate: Callable[[tuple[int, ...]], int]) -> None:
        super().__init__()
        self._evaluate = evaluate
        self._sizes: tuple[int, ...] = ()
        self._table = np.empty(0, dtype=np.int32)

    def of(self, columns: Sequence[Int64s], counts: Sequence[int]) -> Int32s:
        """The number of each row; the classes in column `i` are below `counts[i]`."""
        sizes = tuple(1 << count.bit_length() for count in counts)
        if math.prod(sizes) > _DENSE:
            rows = zip(*(column.tolist() for column in columns), strict=True)
            return np.fromiter(map(self.__getitem__, rows), np.int32, len(columns[0]))
        if sizes != self._sizes:
            self._sizes = sizes
            self._table = np.full(math.prod(sizes), -1, dtype=np.int32)
        cells = columns[0]
        for column, size in zip(columns[1:], sizes[1:], strict=True):
            cells = cells * size + column
        found = self._table[cells]
        unknown = found < 0
        if unknown.any():
            for cell in np.unique(cells[unknown]).tolist():
                classes = np.unravel_index(cell, sizes)
                self._table[cell] = self._evaluate(tuple(map(int, classes)))
            found = self._table[cells]
        return found

    def forget(self) -> None:
        """Forget everything, as what the classes mean has changed."""
        self.clear()
        self._table.fill(-1)

    def __missing__(self, classes: tuple[int, ...]) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        self[classes] = number = self._evaluate(classes)
        return number
