"""How fresh the snapshots are that audiences are judged by."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from audience_dsl.definitions import ParentPlan
from engine.plan import MemberOf, Predicate, leaves
from schedules.refreshes import is_stale, next_attempt, settled_at
from warehouse.errors import WarehouseError
from warehouse.history import Pull, Status
from warehouse.refresh import history_of
from warehouse.snapshot import WarehouseSnapshot, current


class State(StrEnum):
    """Of an audience: the first of these that is true, from the last to the first."""

    CURRENT = "current"
    STALE = "stale"  # older than the schedule allows
    REFRESHING = "refreshing"  # a pull is under way
    PENDING = "pending"  # no snapshot answers its conditions yet


@dataclass(frozen=True, slots=True)
class Freshness:
    """Of a parent model; `last` is its last pull that has ended, `next_pull` when one is tried."""

    snapshot: WarehouseSnapshot | None
    last: Pull | None
    is_refreshing: bool
    is_stale: bool
    next_pull: int


def freshness_of(root: Path, plan: ParentPlan, now: int) -> Freshness:
    """What is known of a project's parent model at the instant `now`.

    Raises:
        OSError: the history cannot be read.
    """
    model = plan.parent_model
    snapshot = None
    with suppress(WarehouseError):  # damaged: as if there were none
        snapshot = current(root, model.key)
    pulls = history_of(root, model).pulls()
    ended = [one for one in pulls if one.status is not Status.RUNNING]
    settled = None if snapshot is None else settled_at(snapshot.manifest.read_at, ended)
    return Freshness(
        snapshot,
        ended[-1] if ended else None,
        is_refreshing=len(ended) < len(pulls),
        is_stale=settled is not None and is_stale(model, settled, now),
        next_pull=now if settled is None else next_attempt(model, settled, ended, now),
    )


def state_of(audience: str, plan: ParentPlan, freshness: Freshness) -> State:
    """The state of one of the plan's audiences."""
    snapshot = freshness.snapshot
    asked = [plan.predicates[number] for number in sorted(_predicates(audience, plan))]
    if snapshot is None or not snapshot.is_of(plan.parent_model) or not snapshot.covers(asked):
        return State.PENDING
    if freshness.is_refreshing:
        return State.REFRESHING
    return State.STALE if freshness.is_stale else State.CURRENT


def _predicates(audience: str, plan: ParentPlan) -> set[int]:
    """Those that decide on an audience, also by way of audiences that it refers to."""
    trees = {one.key: one.tree for one in plan.plan.audiences}
    found: set[int] = set()
    for leaf in leaves(trees[audience]):
        match leaf:
            case Predicate(number):
                found.add(number)
            case MemberOf(key):
                found |= _predicates(key, plan)
    return found
