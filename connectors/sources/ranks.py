"""The places of numbers among the operands of comparisons."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import numpy as np

from connectors.sources.tokens import NUMBER, Tokens
from connectors.sources.vocabulary import UNKNOWN
from engine.compiled import kernel
from engine.plan import Int64s

_EXACT = 1 << 53  # integers below are exact as floats


class Ranks:
    """Rank `2 i + 1` is the `i`-th operand itself, `2 i` lies between it and the one before."""

    def __init__(self, operands: Iterable[float]) -> None:
        self._operands = sorted(set(operands))
        self.are_exact = all(abs(one) < _EXACT for one in self._operands)
        self._cuts = np.array(self._operands if self.are_exact else [], dtype=np.float64)
        self.count = 2 * len(self._operands) + 1

    def of(self, number: float) -> int:
        """The rank of a number; integers and floats of any size are compared exactly."""
        i = bisect_left(self._operands, number)
        return 2 * i + (i < len(self._operands) and self._operands[i] == number)

    def find(self, tokens: Tokens, of_rank: Int64s, found: Int64s) -> int:
        """Write `of_rank[rank]` for each number of up to 15 digits that is written plainly.

        Only if the operands `are_exact`.  Returns how many numbers so got something else than
        `UNKNOWN`.
        """
        return int(find_all(*tokens, self._cuts, of_rank, found))


@kernel
def find_all(data, kinds, begins, ends, cuts, of_rank, found):  # type: ignore[no-untyped-def]
    settled = 0
    for i in range(found.size):
        if kinds[i] != NUMBER:
            continue
        place = begins[i]
        negative = data[place] == 0x2D
        if negative:
            place += 1
        # Up to 15 digits are exact as a float, as are powers of ten up to 22, so that one division
        # rounds correctly (Clinger, "How to read floating point numbers accurately", 1990).
        whole = 0
        power = 1.0
        digits = 0
        after_dot = False
        plain = True
        while place < ends[i]:
            byte = data[place]
            if byte == 0x2E:
                after_dot = True
            elif 0x30 <= byte <= 0x39 and digits < 15:
                whole = whole * 10 + (int(byte) - 0x30)
                digits += 1
                if after_dot:
                    power *= 10.0
            else:
                plain = False
                break
            place += 1
        if not plain:
            continue
        number = float(whole) / power
        if negative:
            number = -number
        low, high = 0, cuts.size
        while low < high:
            middle = (low + high) // 2
            if cuts[middle] < number:
                low = middle + 1
            else:
                high = middle
        rank = 2 * low
        if low < cuts.size and cuts[low] == number:
            rank += 1
        found[i] = of_rank[rank]
        settled += of_rank[rank] != UNKNOWN
    return settled
