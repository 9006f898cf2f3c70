"""Predicate bits of many users as few distinct combinations.

Five million users of a plan with a dozen predicates show some hundred combinations, so a user
costs the number of one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.plan import Int32s, Int64s


def words_sql(tests: Sequence[str]) -> list[str]:
    """One BIGINT expression per 64 tests: bit `p` is bit `p % 64` of word `p // 64`."""
    words = []
    for first in range(0, len(tests), 64):
        bits = [
            f"CASE WHEN {test} THEN {_bit(place)} ELSE 0::BIGINT END"
            for place, test in enumerate(tests[first : first + 64])
        ]
        words.append(" | ".join(bits))
    return words


def rearranged(patterns: Int64s, places: Sequence[int]) -> Int64s:
    """Patterns whose bit `i` is bit `places[i]` of those given; 0 where that is negative."""
    bits = patterns.view(np.uint64)
    found = np.zeros((len(patterns), (len(places) + 63) // 64), dtype=np.uint64)
    for place, from_ in enumerate(places):
        if from_ < 0:
            continue
        bit = bits[:, from_ // 64] >> np.uint64(from_ % 64) & np.uint64(1)
        found[:, place // 64] |= bit << np.uint64(place % 64)
    return found.view(np.int64)


def _bit(place: int) -> str:
    value = 1 << place if place < 63 else -(1 << 63)
    return f"CAST({value} AS BIGINT)"


class PatternNumbers:
    """Gathers batches of bits; the numbering depends on the combinations alone."""

    def __init__(self, word_count: int) -> None:
        self._word_count = word_count
        self._patterns: list[Int64s] = []
        self._numbers: list[Int32s] = []

    def add(self, words: Int64s) -> None:
        """`words` has the shape (users, word_count)."""
        patterns, numbers = _distinct(words)
        self._patterns.append(patterns)
        self._numbers.append(numbers)

    def finish(self) -> tuple[Int64s, Int32s]:
        """The distinct combinations, ascending, and the number of each user's."""
        if not self._patterns:
            return np.zeros((0, self._word_count), dtype=np.int64), np.zeros(0, dtype=np.int32)
        patterns, numbers = _distinct(np.concatenate(self._patterns))
        first = 0
        for batch, some in zip(self._numbers, self._patterns, strict=True):
            batch[:] = numbers[first : first + len(some)][batch]
            first += len(some)
        return patterns, np.concatenate(self._numbers)


def _distinct(words: Int64s) -> tuple[Int64s, Int32s]:
    if words.shape[1] == 0:
        return words[:1], np.zeros(len(words), dtype=np.int32)
    if words.shape[1] == 1:
        patterns, numbers = np.unique(words[:, 0], return_inverse=True)
        return patterns.reshape(-1, 1), numbers.astype(np.int32)
    patterns, numbers = np.unique(words, axis=0, return_inverse=True)
    return patterns, numbers.reshape(-1).astype(np.int32)
