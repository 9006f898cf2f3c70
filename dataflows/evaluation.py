"""The evaluation of audiences as a Bytewax operator.

The operator adapts; it decides nothing.  A key group is one Bytewax key, so that Bytewax handles
64 keys a parent model whatever the number of users, and its state is immutable bytes: Bytewax
pickles snapshots some time after it has asked for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from audience_dsl.definitions import ParentPlan
from dataflows.steps import GroupStep, GroupTransitions, Step, split_by_group
from engine.group import Counts, KeyGroup
from engine.inputs import Snapshot
from engine.transitions import Transitions
from warehouse.errors import WarehouseError
from warehouse.snapshot import WarehouseSnapshot, open_snapshot


class Audiences(msgspec.Struct, frozen=True):
    """What is to be evaluated, by parent model.

    A live job keeps state that it can be resumed from, and emits an item where something happened.
    A backtest keeps none, and emits an item a group for every step: its reader wants to know how
    far each group has come.
    """

    plans: Mapping[str, ParentPlan]
    snapshots: Mapping[str, WarehouseSnapshot]  # which take force when a step says so
    live: bool
    # Told, for each restored group, which conditions are warming and when they will be exact.
    warming: Callable[[Mapping[str, int]], None] | None = None

    def snapshot_of(self, parent_model: str, version: str) -> Snapshot:
        """The snapshot that state was stored with; the newest one if it is not kept any more.

        Until the newest takes force, users who come for the first time are looked up in it.
        """
        newest = self.snapshots[parent_model]
        if version in ("", newest.version):
            return newest.snapshot
        try:
            kept = open_snapshot(newest.folder.with_name(version))
        except WarehouseError:
            return newest.snapshot
        asked = self.plans[parent_model].predicates
        return kept.snapshot if kept.answers(asked) else newest.snapshot


@operator
def evaluate_audiences(
    step_id: str,  # noqa: ARG001  Bytewax names the operator by it
    steps: Stream[Step],
    audiences: Audiences,
) -> KeyedStream[GroupTransitions]:
    """Turn steps into the transitions of each key group."""
    parents = sorted(audiences.plans)

    def split(batch: list[Step]) -> list[tuple[str, GroupStep]]:
        return split_by_group(batch, parents)

    def build(stored: bytes | None) -> KeyGroupLogic:
        return KeyGroupLogic(audiences, stored)

    by_group = op.flat_map_batch("key_by_user", steps, split)
    return op.stateful_batch("evaluate", by_group, build)


class _StoredGroup(msgspec.Struct, frozen=True):
    pull: str  # version of the snapshot that was in force
    state: bytes


class KeyGroupLogic(StatefulBatchLogic[GroupStep, GroupTransitions, bytes]):
    """One key group of one parent model; which one, its first step says."""

    def __init__(self, audiences: Audiences, stored: bytes | None) -> None:
        self._audiences = audiences
        self._stored = None if stored is None else msgspec.msgpack.decode(stored, type=_StoredGroup)
        self._bytes = stored  # the state as bytes, while nothing has changed
        self._pull = "" if self._stored is None else self._stored.pull
        self._group: KeyGroup | None = None

    @override
    def on_batch(self, values: list[GroupStep]) -> tuple[Sequence[GroupTransitions], bool]:
        emitted = []
        for step in values:
            if self._group is None:
                self._group = self._open(step)
            result = self._apply(self._group, step)
            if len(result.transitions) or not self._audiences.live:
                emitted.append(result)
        return emitted, StatefulBatchLogic.RETAIN

    def _apply(self, group: KeyGroup, step: GroupStep) -> GroupTransitions:
        before = group.counts
        parts = []
        if step.take_force_at is not None:
            snapshot = self._audiences.snapshots[step.parent_model]
            if snapshot.version != self._pull or group.held:
                self._pull = snapshot.version
                parts.append(group.take_force(snapshot.snapshot, step.take_force_at))
                self._bytes = None
        if step.inputs is not None:
            parts.append(group.apply(step.inputs))
            self._bytes = None
        if group.due < step.tick:
            self._bytes = None
        parts.append(group.advance(step.tick))
        counts = Counts(*(now - then for now, then in zip(group.counts, before, strict=True)))
        return GroupTransitions(
            step.parent_model,
            step.group,
            Transitions.concatenated([part for part in parts if len(part)]),
            counts,
            self._pull,
            step.tick,
        )

    def _open(self, step: GroupStep) -> KeyGroup:
        plan = self._audiences.plans[step.parent_model].plan
        if self._stored is None:
            return KeyGroup(plan, step.group)
        stored, self._stored = self._stored, None
        snapshot = self._audiences.snapshot_of(step.parent_model, stored.pull)
        group = KeyGroup.load(plan, stored.state, snapshot=snapshot, group=step.group)
        if not group.has_dump:  # what is stored belongs to other definitions
            self._bytes = None
        if self._audiences.warming is not None:
            self._audiences.warming(group.warming)
        return group

    @override
    def snapshot(self) -> bytes:
        if not self._audiences.live:
            return b""
        if self._bytes is None:
            assert self._group is not None
            self._bytes = msgspec.msgpack.encode(_StoredGroup(self._pull, self._group.dump()))
        return self._bytes
