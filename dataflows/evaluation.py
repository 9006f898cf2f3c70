"""The evaluation of audiences as a Bytewax operator.

The operator adapts; it decides nothing.  A key group is one Bytewax key, so that Bytewax handles
64 keys a parent model whatever the number of users.  What it snapshots is immutable bytes, because
Bytewax pickles them some time after it has asked for them: where the state is, or, for a flow that
keeps no log, the state itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from audience_dsl.definitions import ParentPlan
from dataflows.chains import Chain, DamagedLog, Position
from dataflows.checkpoints import Checkpoints, StoredGroup
from dataflows.moves import Moves
from dataflows.questions import Answer
from dataflows.steps import GroupStep, GroupTransitions, Step, group_key, split_by_group
from dataflows.threads import keep_thread_state
from engine.carrying import ALWAYS
from engine.forecasts import forecast
from engine.group import Counts, KeyGroup
from engine.inputs import Snapshot
from engine.transitions import NO_TRANSITIONS, Transitions
from warehouse.errors import WarehouseError
from warehouse.snapshot import OpenedVersions, WarehouseSnapshot


class Audiences(msgspec.Struct, frozen=True):
    """What is to be evaluated, by parent model.

    A live job keeps state that it can be resumed from, and emits an item where something happened.
    A backtest keeps none, and emits an item a group for every step: its reader wants to know how
    far each group has come.
    """

    plans: Mapping[str, ParentPlan]
    snapshots: Mapping[str, WarehouseSnapshot]  # which take force first
    live: bool
    checkpoints: Checkpoints | None = None  # where a live job keeps its state; not in a log if None
    # What a live job is resumed at; parent models without state have missed what happened before.
    resumed_at: int = ALWAYS
    # Told, for each group, which conditions are warming and when they will be exact.
    warming: Callable[[Mapping[str, int]], None] | None = None
    # Told what became of a live job's inputs.
    counted: Callable[[Counts], None] | None = None
    # Later snapshots of a backtest, by parent model and version.
    dated: Mapping[tuple[str, str], WarehouseSnapshot] = {}
    opened: OpenedVersions = msgspec.field(default_factory=OpenedVersions)
    moves: Moves = msgspec.field(default_factory=Moves)

    def version(self, parent_model: str, version: str) -> WarehouseSnapshot:
        """A version of a snapshot, beside the one that the job begins with.

        Raises:
            WarehouseError: it is not there, or its bits are those of other definitions.
        """
        newest = self.snapshots[parent_model]
        if version == newest.version:
            return newest
        if self.dated:
            return self.dated[parent_model, version]
        folder = newest.folder.with_name(version)
        return self.opened.get(folder, self.plans[parent_model].predicates)

    def snapshot_of(self, parent_model: str, version: str) -> Snapshot:
        """The snapshot that state was stored with; the newest one if it is not kept any more.

        Until the newest takes force, users who come for the first time are looked up in it.
        """
        return self.kept(parent_model, version) or self.snapshots[parent_model].snapshot

    def kept(self, parent_model: str, version: str) -> Snapshot | None:
        """A version, if it is still kept and means what the plan asks."""
        try:
            return self.version(parent_model, version).snapshot if version else None
        except WarehouseError:
            return None


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
        keep_thread_state()
        return KeyGroupLogic(audiences, stored)

    by_group = op.flat_map_batch("key_by_user", steps, split)
    return op.stateful_batch("evaluate", by_group, build)


class KeyGroupLogic(StatefulBatchLogic[GroupStep, GroupTransitions, bytes]):
    """One key group of one parent model; which one, its first step says."""

    def __init__(self, audiences: Audiences, stored: bytes | None) -> None:
        self._audiences = audiences
        self._bytes = stored  # as long as there was no step
        self._key = ""
        self._pull = ""
        self._clock = ALWAYS
        self._state = b""  # where there is no log
        self._group: KeyGroup | None = None
        self._chain: Chain | None = None
        self.changed = True

    @override
    def on_batch(self, values: list[GroupStep]) -> tuple[Sequence[GroupTransitions], bool]:
        emitted = []
        for step in values:
            if self._group is None:
                self._group = self._open(step)
            result = self._apply(self._group, step)
            if step.inputs is not None and self._audiences.counted is not None:
                self._audiences.counted(result.counts)
            if (
                len(result.transitions)
                or step.is_reconciled
                or step.known_since is not None
                or step.asked
                or not self._audiences.live
            ):
                emitted.append(result)
        return emitted, StatefulBatchLogic.RETAIN

    def _apply(self, group: KeyGroup, step: GroupStep) -> GroupTransitions:
        before = group.counts
        parts = []
        if step.take_force_at is not None:
            parts.append(self._take_force(group, step, step.take_force_at))
        if step.inputs is not None:
            parts.append(group.apply(step.inputs))
            self.changed = True
        if step.recalled is not None:
            parts.append(group.recall(step.recalled))
            self.changed = True
        self.changed |= group.due < step.tick
        parts.append(group.advance(step.tick))
        if step.known_since is not None:
            parts.append(group.end_recall(step.known_since, step.tick))
            self.changed = True
        self._clock = max(self._clock, step.tick)
        counts = Counts(*(now - then for now, then in zip(group.counts, before, strict=True)))
        return GroupTransitions(
            step.parent_model,
            step.group,
            Transitions.concatenated([part for part in parts if len(part)]),
            counts,
            self._pull,
            step.tick,
            group.members() if step.is_reconciled else None,
            group.warming if step.known_since is not None else None,
            _answers(group, step),
        )

    def _take_force(self, group: KeyGroup, step: GroupStep, at: int) -> Transitions:
        """What the snapshot changes that takes force, unless the group has it already."""
        if step.version is None:
            snapshot = self._audiences.snapshots[step.parent_model]
            if snapshot.version == self._pull and not group.held:
                return NO_TRANSITIONS
            transitions = group.take_force(snapshot.snapshot, at)
        else:
            # A switch that is repeated after a crash may be part of the state.
            if step.version == self._pull or at < self._clock or not group.in_force:
                return NO_TRANSITIONS
            before = self._audiences.kept(step.parent_model, self._pull)
            snapshot = self._audiences.version(step.parent_model, step.version)
            moved = self._audiences.moves.of(
                step.parent_model, self._pull, step.version, step.group
            )
            transitions = group.switch(snapshot.snapshot, at, before, moved)
        self._pull = snapshot.version
        self.changed = True
        return transitions

    def _open(self, step: GroupStep) -> KeyGroup:
        self._key = group_key(step.parent_model, step.group)
        plan = self._audiences.plans[step.parent_model].plan
        stored = None if self._bytes is None else StoredGroup.from_bytes(self._bytes)
        position = stored.state if stored and isinstance(stored.state, Position) else None
        self._bytes = None
        self._begin_chain(position)
        if self._audiences.checkpoints is not None:
            self._audiences.checkpoints.include(self)
        if stored is None:
            return self._told(KeyGroup(plan, step.group, self._audiences.resumed_at))
        group = KeyGroup.load(
            plan,
            *self._records(stored),
            snapshot=self._audiences.snapshot_of(step.parent_model, stored.pull),
            group=step.group,
            clock=stored.clock,
        )
        self._clock, self._pull = stored.clock, stored.pull
        self.changed = position is None
        if not group.has_dump:  # what is stored belongs to other definitions
            self._begin_chain(None)
            self.changed = True
        return self._told(group)

    def _told(self, group: KeyGroup) -> KeyGroup:
        if self._audiences.warming is not None:
            self._audiences.warming(group.warming)
        return group

    def _begin_chain(self, position: Position | None) -> None:
        if self._audiences.checkpoints is not None:
            name = self._key.replace("/", ".")
            self._chain = self._audiences.checkpoints.log.chain(name, position)

    def _records(self, stored: StoredGroup) -> list[bytes]:
        if isinstance(stored.state, bytes):
            return [stored.state]
        if self._audiences.checkpoints is None:
            raise DamagedLog("the files of the state are not at hand")
        return self._audiences.checkpoints.log.read(stored.state)

    @property
    def chain(self) -> Chain:
        assert self._chain is not None
        return self._chain

    def record(self, *, complete: bool) -> bytes:
        """The group's state, or what has changed of it since the last record."""
        assert self._group is not None
        self.changed = False
        return self._group.dump() if complete else self._group.dump_changes()

    @override
    def snapshot(self) -> bytes:
        if not self._audiences.live:
            return b""
        if self._bytes is not None:
            return self._bytes
        return StoredGroup(self._key, self._pull, self._clock, self._kept()).to_bytes()

    def _kept(self) -> Position | bytes:
        checkpoints = self._audiences.checkpoints
        if checkpoints is None:
            if self.changed:
                self._state = self.record(complete=True)
            return self._state
        if self.changed:
            checkpoints.write()
        checkpoints.log.close_epoch(self.chain)
        assert self.chain.position is not None
        return self.chain.position


def _answers(group: KeyGroup, step: GroupStep) -> list[Answer]:
    """To all that is asked at once, as each look into the state costs as much as many users."""
    users = list(dict.fromkeys(user_id for one in step.asked for user_id in one.user_ids))
    foreseen = forecast(group, users) if users else {}
    return [
        Answer(one.number, step.tick, {user_id: foreseen[user_id] for user_id in one.user_ids})
        for one in step.asked
    ]
