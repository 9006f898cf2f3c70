"""How many users a snapshot moves, compared with the one before."""

from __future__ import annotations

from collections.abc import Sequence

from engine.difference import difference_of_group
from engine.inputs import Snapshot
from warehouse.patterns import rearranged
from warehouse.snapshot import WarehouseSnapshot


def users_moved(before: WarehouseSnapshot | None, after: WarehouseSnapshot) -> int:
    """Users that came, that went, and of whom a predicate has changed that both answer."""
    if before is None:
        return after.rows
    known = set(before.manifest.predicates)
    shared = [one for one in after.manifest.predicates if one in known]
    old, new = _answering(before, shared), _answering(after, shared)
    return difference_of_group(old, new, None).size


def _answering(snapshot: WarehouseSnapshot, digests: Sequence[str]) -> Snapshot:
    """The stream's view with the bits of these predicates alone."""
    places = [snapshot.manifest.predicates.index(one) for one in digests]
    return snapshot.snapshot._replace(patterns=rearranged(snapshot.snapshot.patterns, places))
