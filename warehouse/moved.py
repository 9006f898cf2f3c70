"""How many users a snapshot moves, compared with the one before."""

from __future__ import annotations

import numpy as np

from warehouse.patterns import rearranged
from warehouse.snapshot import WarehouseSnapshot

# Users that are compared at once.
_SLICE = 1 << 18


def users_moved(before: WarehouseSnapshot | None, after: WarehouseSnapshot) -> int:
    """Users that came, that went, and of whom a predicate has changed that both answer.

    Users are told apart by the hashes of their ids.
    """
    if before is None:
        return after.rows
    asked = set(before.manifest.predicates) & set(after.manifest.predicates)
    shared = [one for one in after.manifest.predicates if one in asked]
    patterns = [
        rearranged(one.snapshot.patterns, [one.manifest.predicates.index(two) for two in shared])
        for one in (before, after)
    ]
    old, new = before.snapshot, after.snapshot
    common = moved = 0
    for first in range(0, after.rows, _SLICE):
        hashes = new.hashes[first : first + _SLICE]
        start = int(np.searchsorted(old.hashes, hashes[0]))
        end = int(np.searchsorted(old.hashes, hashes[-1], side="right"))
        _, theirs, ours = np.intersect1d(old.hashes[start:end], hashes, return_indices=True)
        was = patterns[0][old.pattern_of[start:end][theirs]]
        is_ = patterns[1][new.pattern_of[first : first + _SLICE][ours]]
        common += len(ours)
        moved += int((was != is_).any(axis=1).sum())
    return moved + (before.rows - common) + (after.rows - common)
