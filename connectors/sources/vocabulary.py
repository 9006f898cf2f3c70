"""Numbers that have been given to values as they are written, looked up natively.

A filter is evaluated once for each value that occurs, in Python; from then on its outcome is found
by the bytes that spell the value.
"""

from __future__ import annotations

import numpy as np

from connectors.sources.tokens import KINDS, Kinds, Tokens
from engine.compiled import kernel
from engine.plan import Bytes, Int64s
from engine.words import at, word_at

REMEMBERED = 1 << 16
LONGEST = 1 << 10  # bytes; longer values are not remembered

# What values have instead of a number: one that nobody knows, and that it is still to be found.
UNKNOWN = -1
LOOKED_UP = -2

# Values that are made to collide are not remembered: they cost their sender's share of time only.
PROBES = 64

_POOL = 1 << 22

_UNKNOWN_ALL = np.full(KINDS, UNKNOWN, dtype=np.int64)


class Vocabulary:
    """Up to `REMEMBERED` written values, each with a number of its own or shared with others."""

    def __init__(self) -> None:
        self._slots = np.zeros(64, dtype=np.int64)  # entry + 1, or 0
        self._hashes = np.empty(16, dtype=np.int64)
        self._kinds: Kinds = np.empty(16, dtype=np.uint8)
        self._starts = np.zeros(17, dtype=np.int64)
        self._numbers = np.empty(16, dtype=np.int64)
        self._pool: Bytes = np.empty(256, dtype=np.uint8)
        self.count = 0

    def find(
        self, tokens: Tokens, of_kind: Int64s, of_unknown: Int64s = _UNKNOWN_ALL
    ) -> tuple[Int64s, int]:
        """The number of each value, and how many are `UNKNOWN`.

        Args:
            of_kind: For each kind the number that all its values have, or `LOOKED_UP`.
            of_unknown: For each kind the number of values that were looked up in vain.
        """
        found = np.empty(tokens.size, dtype=np.int64)
        unknown = find_all(
            *tokens,
            of_kind,
            of_unknown,
            self._slots,
            self._hashes,
            self._kinds,
            self._starts,
            self._numbers,
            self._pool,
            found,
        )
        return found, int(unknown)

    def put(self, tokens: Tokens, i: int, number: int) -> None:
        """Remember the number of a value that is unknown so far, unless it is very long."""
        raw = tokens.raw(i)
        if len(raw) > LONGEST:
            return
        if self.count == REMEMBERED or self._starts[self.count] + len(raw) > _POOL:
            self.clear()
        start = int(self._starts[self.count])
        end = start + len(raw)
        if self.count == len(self._numbers):
            self._grow()
        while end > len(self._pool):
            self._pool = np.resize(self._pool, 2 * len(self._pool))
        self._pool[start:end] = np.frombuffer(raw, dtype=np.uint8)
        self._starts[self.count + 1] = end
        self._kinds[self.count] = tokens.kinds[i]
        self._numbers[self.count] = number
        self.count += 1
        self._enter(self.count - 1)

    def clear(self) -> None:
        self._slots[:] = 0
        self.count = 0

    def _grow(self) -> None:
        size = 2 * len(self._numbers)
        self._hashes = np.resize(self._hashes, size)
        self._kinds = np.resize(self._kinds, size)
        self._numbers = np.resize(self._numbers, size)
        self._starts = np.resize(self._starts, size + 1)
        self._slots = np.zeros(4 * size, dtype=np.int64)
        for entry in range(self.count):
            self._enter(entry)

    def _enter(self, entry: int) -> None:
        enter(self._slots, self._hashes, self._kinds, self._starts, self._pool, entry)


@kernel
def find_all(  # type: ignore[no-untyped-def]
    data,
    kinds,
    begins,
    ends,
    of_kind,
    of_unknown,
    slots,
    hashes,
    known,
    starts,
    numbers,
    pool,
    found,
):
    mask = slots.size - 1
    unknown = 0
    for i in range(found.size):
        number = of_kind[kinds[i]]
        found[i] = number
        unknown += number == UNKNOWN
        if number != LOOKED_UP:
            continue
        number = of_unknown[kinds[i]]
        begin, size = begins[i], ends[i] - begins[i]
        hash_ = _hash(data, begin, size, kinds[i])
        slot = hash_ & mask
        for _ in range(PROBES):
            if slots[slot] == 0:
                break
            entry = slots[slot] - 1
            if (
                hashes[entry] == hash_
                and known[entry] == kinds[i]
                and starts[entry + 1] - starts[entry] == size
            ):
                same = True
                for step in range(size):
                    if at(pool, starts[entry] + step) != at(data, begin + step):
                        same = False
                        break
                if same:
                    number = numbers[entry]
                    break
            slot = (slot + 1) & mask
        found[i] = number
        unknown += number == UNKNOWN
    return unknown


@kernel
def enter(slots, hashes, known, starts, pool, entry):  # type: ignore[no-untyped-def]
    """Make an entry findable."""
    mask = slots.size - 1
    hash_ = _hash(pool, starts[entry], starts[entry + 1] - starts[entry], known[entry])
    hashes[entry] = hash_
    slot = hash_ & mask
    for _ in range(PROBES):
        if slots[slot] == 0:
            slots[slot] = entry + 1
            break
        slot = (slot + 1) & mask


@kernel
def _hash(data, begin, size, kind):  # type: ignore[no-untyped-def]
    """In the manner of FNV-1a (Fowler, Noll, Vo), 32 bits, four bytes at a time."""
    hash_ = 0x811C9DC5 ^ (size << 3) ^ int(kind)
    for place in range(begin, begin + size, 4):
        hash_ = ((hash_ ^ word_at(data, place, begin + size)) * 0x9E3779B1) & 0xFFFFFFFF
        hash_ ^= hash_ >> 15
    return hash_
