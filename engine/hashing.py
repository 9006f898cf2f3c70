"""Stable hashes of texts: the same in every process, on every machine, in every release.

They route users to key groups, find users in the tables and stand for message ids.  Two 32-bit
lanes in the manner of FNV-1a (Fowler, Noll, Vo), four bytes at a time, with multipliers of xxHash
(Collet), are finished with the mixer of MurmurHash3 (Appleby).  All products are masked to 32
bits, so that the compiled and the interpreted kernel agree.  Where a collision would be a wrong
answer (users), the texts themselves are compared as well.
"""

from __future__ import annotations

import numpy as np

from engine.compiled import kernel
from engine.plan import Bytes, Int64s
from engine.texts import Texts
from engine.words import word_at

GROUP_BITS = 6
GROUPS = 1 << GROUP_BITS

_GROUP_SHIFT = 64 - GROUP_BITS
_MASK = 0xFFFFFFFF


def stable_hashes(texts: Texts) -> Int64s:
    """One signed 64-bit hash a text."""
    hashes = np.empty(len(texts.starts) - 1, dtype=np.int64)
    hash_all(texts.data, texts.starts, hashes)
    return hashes


def groups_of(hashes: Int64s) -> Int64s:
    """The key group, 0 … GROUPS - 1, of each user hash: its topmost bits.

    A column that ascends by hash therefore has each group's users next to each other.
    """
    return (hashes >> _GROUP_SHIFT) & (GROUPS - 1)


def group_of(text: str) -> int:
    """The key group of one user, in less time than it takes to make a column of one text."""
    data = text.encode()
    hashes = np.empty(1, dtype=np.int64)
    hash_all(np.frombuffer(data, dtype=np.uint8), np.array((0, len(data))), hashes)
    return (int(hashes[0]) >> _GROUP_SHIFT) & (GROUPS - 1)


@kernel
def hash_all(data: Bytes, starts: Int64s, hashes: Int64s) -> None:
    for i in range(hashes.size):
        position = int(starts[i])
        end = int(starts[i + 1])
        low = 0x811C9DC5 ^ (end - position)
        high = 0x9747B28C
        while position < end:
            word = word_at(data, position, end)
            position += 4
            low = ((low ^ word) * 0x9E3779B1) & _MASK
            low ^= low >> 15
            high = ((high ^ word) * 0x85EBCA77) & _MASK
            high ^= high >> 13
        low = _mix(low ^ (high >> 3))
        high = _mix(high ^ low)
        if high >= 0x80000000:
            high -= 0x100000000
        hashes[i] = high * 0x100000000 + low


@kernel
def _mix(h: int) -> int:
    h ^= h >> 16
    h = (h * 0x85EBCA6B) & _MASK
    h ^= h >> 13
    h = (h * 0xC2B2AE35) & _MASK
    return h ^ (h >> 16)
