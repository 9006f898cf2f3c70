"""Stable hashes of texts: the same in every process, on every machine, in every release.

They route users to key groups, find users in the tables and stand for message ids.  Two 32-bit
lanes of FNV-1a (Fowler, Noll, Vo), with different multipliers, are finished with the mixer of
MurmurHash3 (Appleby).  All products are masked to 32 bits, so that the compiled and the
interpreted kernel agree.  Where a collision would be a wrong answer (users), the texts themselves
are compared as well.
"""

from __future__ import annotations

import numpy as np

from engine.compiled import kernel
from engine.inputs import Texts
from engine.plan import Int64s

GROUP_BITS = 6
GROUPS = 1 << GROUP_BITS

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
    return (hashes >> (64 - GROUP_BITS)) & (GROUPS - 1)


@kernel
def hash_all(data, starts, hashes):  # type: ignore[no-untyped-def]
    for i in range(hashes.size):
        low = 0x811C9DC5
        high = 0x9747B28C
        for position in range(starts[i], starts[i + 1]):
            byte = int(data[position])
            low = ((low ^ byte) * 0x01000193) & _MASK
            high = ((high ^ byte) * 0x5BD1E995) & _MASK
        low = _mix(low ^ (high >> 3))
        high = _mix(high ^ low)
        if high >= 0x80000000:
            high -= 0x100000000
        hashes[i] = high * 0x100000000 + low


@kernel
def _mix(h):  # type: ignore[no-untyped-def]
    h ^= h >> 16
    h = (h * 0x85EBCA6B) & _MASK
    h ^= h >> 13
    h = (h * 0xC2B2AE35) & _MASK
    return h ^ (h >> 16)
