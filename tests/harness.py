"""Drives the product over a history as an adversary would, and reads its transitions back.

A `Rig` holds one compiled project: YAML text through the language, records as JSON lines through
the source's reader, the core, and transitions.  `Rig.run` takes the same history as the oracle,
cuts its events into batches at will, stops and restores the state from its bytes at will, and
spreads the users over key groups at will.  None of this may show in what comes out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import yaml

from audience_dsl import compile_project
from audience_dsl.definitions import Comparison
from audience_dsl.operators import holds
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.chunks import Chunk
from connectors.sources.reader import EventReader
from engine.difference import difference_of_group
from engine.group import KeyGroup
from engine.hashing import groups_of
from engine.inputs import Inputs, Snapshot
from engine.plan import Plan
from engine.transitions import Cause, Transitions
from tests import oracle
from tests.engine.columns import snapshot_of

SCHEMA = (Path(__file__).parent / "scenarios" / "schema.yml").read_text()
_SCHEMA_VALUES = yaml.safe_load(SCHEMA)


class Way(NamedTuple):
    """How a history is run: probabilities after each event or step, and whether groups share."""

    cut: float = 0.0  # a batch ends here
    restart: float = 0.0  # state is saved here, and mostly restored
    split: bool = False  # every user's key group on its own
    moves: bool = False  # later snapshots are given to those alone who moved


STRAIGHT = Way()


class Rig:
    """One project, compiled; `audiences` is what stands under that key in YAML."""

    def __init__(self, audiences: Mapping[str, Any]) -> None:
        self.definition = {**_SCHEMA_VALUES, "audiences": audiences}
        text = json.dumps({"audiences": audiences})  # which is YAML as well
        compiled = compile_project(
            {"schema.yml": SCHEMA, "audiences.yml": text}, {}, lambda _warehouse, _model: None, {}
        )
        assert compiled.project is not None, compiled.diagnostics
        self._parent = compiled.project.plans["users"]
        self.plan = self._parent.plan
        self._reader = EventReader(
            compiled.project.events, compiled.project.plans, format="segment"
        )

    def expected(self, history: Sequence[oracle.Step], until: int) -> list[oracle.Transition]:
        return oracle.transitions(self.definition, history, until)

    def run(
        self,
        history: Sequence[oracle.Step],
        until: int,
        way: Way = STRAIGHT,
        random: Random | None = None,
    ) -> list[oracle.Transition]:
        """What the product makes of a history, in the order of the oracle."""
        random = random or Random(0)
        job = Job(self.plan, self.groups(history) if way.split else [None])
        parts = []
        for batch in batches(history, way.cut, random):
            match batch:
                case oracle.Tick(at):
                    parts += job.advance(at)
                case oracle.Pull(at, rows):
                    parts += job.take_force(self.snapshot(rows, at), at, moves=way.moves)
                case _:
                    parts += job.apply(self.inputs(batch))
            if random.random() < way.restart:
                job.restart(random)
        parts += job.advance(until + 1)
        return sorted(one for part in parts for one in self.transitions(part))

    def inputs(self, events: Sequence[oracle.Event]) -> Inputs | None:
        lines = b"".join(json.dumps(event.record).encode() + b"\n" for event in events)
        arrivals = np.array([event.arrival for event in events], dtype=np.int64)
        data = np.frombuffer(bytearray(lines), dtype=np.uint8)
        chunk = Chunk("history", 0, 0, data, arrivals=arrivals)
        batch = self._reader.read(chunk, ArrivalPolicy.LIVE)
        assert not batch.dead_letters
        return batch.inputs.get("users")

    def snapshot(self, rows: oracle.Rows, at: int) -> Snapshot:
        return snapshot_of(
            self.plan,
            {
                user: [
                    holds(one, row.get(one.column), at=at)
                    for one in self._parent.predicates
                    if isinstance(one, Comparison)
                ]
                for user, row in rows.items()
            },
        )

    def groups(self, history: Sequence[oracle.Step]) -> list[int | None]:
        users = {step.record["userId"] for step in history if isinstance(step, oracle.Event)}
        users |= {user for step in history if isinstance(step, oracle.Pull) for user in step.rows}
        hashes = snapshot_of(self.plan, dict.fromkeys(users, [False] * len(self.plan.absent)))
        return sorted(set(groups_of(hashes.hashes).tolist()))

    def transitions(self, part: Transitions) -> Iterator[oracle.Transition]:
        columns = zip(
            part.effective_at.tolist(),
            part.users.tolist(),
            part.audiences.tolist(),
            part.sequences.tolist(),
            part.causes.tolist(),
            part.conditions.tolist(),
            part.message_ids.tolist(),
            strict=True,
        )
        for effective_at, user, audience, sequence, cause, condition, message_id in columns:
            # A window that expired is named, and only then; the oracle does not say which.
            assert (cause == Cause.WINDOW_EXPIRED) == (condition >= 0)
            yield oracle.Transition(
                effective_at,
                user,
                self.plan.audiences[audience].key,
                sequence,
                "entered" if sequence % 2 else "exited",
                Cause(cause).name.lower(),
                "" if len(message_id) == 32 else message_id,  # a hash stands for a missing id
            )


class Job:
    """The key groups, and what was saved of each."""

    def __init__(self, plan: Plan, groups: Sequence[int | None]) -> None:
        self._plan = plan
        self._groups = {number: KeyGroup(plan, number) for number in groups}
        self._saved: dict[int | None, list[bytes]] = {number: [] for number in groups}
        self.snapshot: Snapshot | None = None
        self._switches = 0

    def apply(self, inputs: Inputs | None) -> list[Transitions]:
        return [group.apply(part) for group, part in self._parts(inputs)]

    def recall(self, inputs: Inputs | None) -> list[Transitions]:
        return [group.recall(part) for group, part in self._parts(inputs)]

    def end_recall(self, known_since: Mapping[int, int], at: int) -> list[Transitions]:
        return [group.end_recall(known_since, at) for group in self._groups.values()]

    def _parts(self, inputs: Inputs | None) -> Iterator[tuple[KeyGroup, Inputs]]:
        if inputs is None:
            return
        group_of = groups_of(inputs.user_hashes)
        for number, group in self._groups.items():
            mine = np.flatnonzero(group_of == number)
            yield group, inputs if number is None else inputs.taken(mine)

    def advance(self, to: int) -> list[Transitions]:
        return [group.advance(to) for group in self._groups.values()]

    def take_force(self, snapshot: Snapshot, at: int, *, moves: bool = False) -> list[Transitions]:
        before, self.snapshot = self.snapshot, snapshot
        if before is None or not moves:
            return [group.take_force(snapshot, at) for group in self._groups.values()]
        self._switches += 1
        if self._switches % 3 == 0:
            before = None  # as if it were not kept any more
        transitions = []
        for number, group in self._groups.items():
            moved = None  # or somebody has found it out already
            if before is not None and self._switches % 3 == 1:
                moved = difference_of_group(before, snapshot, number)
            transitions.append(group.switch(snapshot, at, before, moved))
        return transitions

    def restart(self, random: Random) -> None:
        """Save everything or only what has changed; then, mostly, go on from the bytes alone."""
        for number, group in self._groups.items():
            saved = self._saved[number]
            if saved and group.has_dump and random.random() < 0.7:
                saved.append(group.dump_changes())
            else:
                saved[:] = [group.dump()]
            if random.random() < 0.7:
                self._groups[number] = KeyGroup.load(
                    self._plan, *saved, snapshot=self.snapshot, group=number
                )

    def carry_over(self, plan: Plan) -> None:
        """Go on under other definitions, from bytes alone."""
        self._plan = plan
        for number, group in self._groups.items():
            self._saved[number] = []
            self._groups[number] = KeyGroup.load(
                plan, group.dump(), snapshot=self.snapshot, group=number
            )

    def held(self) -> set[str]:
        """The audiences that wait for their changed definitions."""
        held = [set(group.held) for group in self._groups.values()]
        assert all(one == held[0] for one in held)
        return held[0]

    def warming(self) -> dict[str, int]:
        """The conditions that are warming, with the latest instant of all groups."""
        warming: dict[str, int] = {}
        for group in self._groups.values():
            for key, exact_from in group.warming.items():
                warming[key] = max(exact_from, warming.get(key, exact_from))
        return warming


def batches(
    history: Sequence[oracle.Step], cut: float, random: Random
) -> Iterator[oracle.Tick | oracle.Pull | list[oracle.Event]]:
    batch: list[oracle.Event] = []
    for step in history:
        if isinstance(step, oracle.Event):
            batch.append(step)
            if random.random() >= cut:
                continue
        if batch:
            yield batch
            batch = []
        if not isinstance(step, oracle.Event):
            yield step
    if batch:
        yield batch
