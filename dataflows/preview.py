"""A preview: how many users are in an audience at an instant, why, and in what else they are.

    recordings or stored state ─► key groups ─► snapshot takes force at the instant ─► who is in

It is the engine that answers, under the audience's own plan with the parts of its tree as further
audiences (see `audience_dsl.probes`).  Events are counted as history, of which the order does not
matter, and everybody is evaluated once, when the snapshot takes force.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from audience_dsl.definitions import ParentPlan
from audience_dsl.probes import Part, Probe, columns_of, leaves_of, probe
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.reader import EventReader
from connectors.sources.recorded import read_file
from dataflows.backtest import Recording
from dataflows.recovery import damaged
from dataflows.sampling import EVERYBODY, Estimate, Sample
from dataflows.stored import StoredState, stored_state
from dataflows.tallies import Tally
from engine import codec
from engine.group import KeyGroup
from engine.inputs import Inputs
from engine.plan import Performed, Plan
from project.folder import LoadedProject
from warehouse.errors import WarehouseError
from warehouse.pull import pull
from warehouse.rows import read_rows
from warehouse.snapshot import WarehouseSnapshot, current


class NoEvents(Exception):
    """There is nothing to count events in."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to preview.

    Instants are microseconds since 1970 UTC.  `at` is `now` unless it is given; then, or where
    recordings are named, the state that a job has stored is not asked.
    """

    audience: str
    now: int
    at: int | None = None
    recordings: Sequence[Recording] = ()
    are_named: bool = False
    policy: ArrivalPolicy = ArrivalPolicy.EVENT
    sample: Sample = EVERYBODY
    members: int = 10


@dataclass(frozen=True, slots=True)
class Size:
    """`is_complete` is false where there may be more: users whom only old events have shown."""

    estimate: Estimate
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """A member, with the columns that the audience asks about."""

    user_id: str
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another audience: how many are in it, and how many of them in the one that is previewed."""

    audience: str
    size: Size
    both: Size


@dataclass(frozen=True, slots=True)
class Preview:
    """`events` are those read from recordings, `None` where the state of a job was asked.

    `latest` is the last of their arrivals up to `at`.  `is_pulled` says that the snapshot in force,
    if any, does not answer this plan, so that another was pulled for the purpose.
    """

    at: int
    events: int | None
    latest: int | None
    snapshot: str
    taken_at: int
    is_pulled: bool
    users: int  # that the warehouse knows
    size: Size
    parts: Sequence[tuple[Part, Size]]
    members: Sequence[Shown]
    overlaps: Sequence[Overlap]


@dataclass(slots=True)
class _Evidence:
    """Key groups that have counted all events, before anybody is evaluated."""

    groups: list[KeyGroup]
    at: int
    remembers_strangers: bool = True
    events: int | None = None
    latest: int | None = None


def run_preview(
    loaded: LoadedProject, request: Request, progress: Callable[[int], None] = lambda _size: None
) -> Preview:
    """Evaluate an audience at an instant, and all others of its parent model beside it.

    Args:
        progress: Called with the bytes of each stretch of a file that has been read.

    Raises:
        NoEvents: the audience counts events, and there are none to count.
        SourceError, WarehouseError, JobRefused, OSError: something cannot be read.
    """
    parent = loaded.project.audiences[request.audience].parent_model
    plan = replace(loaded.project.plans[parent], collections=())
    asked = probe(plan, request.audience, [one.key for one in plan.plan.audiences])
    stored = (
        [] if request.at is not None or request.are_named else stored_state(loaded.root, parent)
    )
    now = request.now if request.at is None else request.at
    with _snapshot(loaded, plan, now) as (snapshot, is_pulled):
        try:
            evidence = _of_state(asked, plan, stored, snapshot, request) if stored else None
        except (codec.DamagedState, codec.ForeignState) as error:
            raise damaged(loaded.root / ".usher", error) from error
        if evidence is None:
            asked, evidence = _of_recordings(loaded, plan, asked, request, progress)
        view = request.sample.of_snapshot(snapshot.snapshot)
        number = {one.key: place for place, one in enumerate(asked.plan.plan.audiences)}
        tally = Tally(len(number), number[request.audience], request.sample, request.members)
        while evidence.groups:  # each is given up once it is counted
            group = evidence.groups.pop()
            group.take_force(view, evidence.at)
            group.advance(evidence.at + 1)
            tally.add(group.memberships())
        sizes = _Sizes(asked.plan.plan, evidence, tally, request.sample)
        chosen = tally.chosen()
        rows = read_rows(snapshot, chosen, columns_of(plan, request.audience))
        return Preview(
            at=evidence.at,
            events=evidence.events,
            latest=evidence.latest,
            snapshot=snapshot.version,
            taken_at=snapshot.taken_at,
            is_pulled=is_pulled,
            users=snapshot.rows,
            size=sizes.of(request.audience),
            parts=[(part, sizes.of(part.key)) for part in asked.parts],
            members=[Shown(*one) for one in zip(chosen, rows, strict=True)],
            overlaps=[
                Overlap(key, sizes.of(key), sizes.of(key, both=True))
                for key in sorted(number)
                if key in loaded.project.audiences and key != request.audience
            ],
        )


class _Sizes:
    """The size of each audience of a plan, by key."""

    def __init__(self, plan: Plan, evidence: _Evidence, tally: Tally, sample: Sample) -> None:
        self._numbers = {one.key: number for number, one in enumerate(plan.audiences)}
        self._tally = tally
        self._sample = sample
        self._uncertain = frozenset(
            () if evidence.remembers_strangers else plan.arrays.absent_members.tolist()
        )

    def of(self, audience: str, *, both: bool = False) -> Size:
        number = self._numbers[audience]
        found = (self._tally.both if both else self._tally.sizes)[number]
        return Size(self._sample.estimate(int(found)), number not in self._uncertain)


@contextmanager
def _snapshot(
    loaded: LoadedProject, plan: ParentPlan, at: int
) -> Iterator[tuple[WarehouseSnapshot, bool]]:
    """The snapshot in force; one of our own, which no job sees, if it does not answer the plan."""
    try:
        known = current(loaded.root, plan.parent_model.key)
    except WarehouseError:
        known = None  # damaged: it is only a copy
    if known is not None and known.is_of(plan.parent_model) and known.covers(plan.predicates):
        yield known.serving(plan.predicates), False
        return
    with tempfile.TemporaryDirectory(prefix="usher-") as store:
        yield pull(loaded.root, loaded.project.warehouse, plan, at, store=Path(store)), True


def _of_state(
    asked: Probe,
    plan: ParentPlan,
    stored: Sequence[StoredState],
    snapshot: WarehouseSnapshot,
    request: Request,
) -> _Evidence | None:
    """What a job has stored; `None` if it does not know all that the audiences count.

    A job forgets users whom the warehouse does not know once nothing of theirs can matter to its
    own audiences.  A part of the tree that is true of such users may have more of them.
    """
    probed = asked.plan.plan
    meanings, _ = codec.decode(*stored[0].records)
    remembers = meanings.plan == plan.plan.version and bool(plan.plan.arrays.absent_members.size)
    number = next(n for n, one in enumerate(probed.audiences) if one.key == request.audience)
    if not remembers and request.recordings and number in probed.arrays.absent_members:
        return None
    groups = []
    for one in stored:
        group = KeyGroup.load(
            probed,
            *one.records,
            snapshot=snapshot.snapshot,
            group=one.group,
            clock=one.clock,
        )
        if group.warming:
            return None
        groups.append(group)
    return _Evidence(groups, max(one.clock for one in stored), remembers)


def _of_recordings(
    loaded: LoadedProject,
    plan: ParentPlan,
    asked: Probe,
    request: Request,
    progress: Callable[[int], None],
) -> tuple[Probe, _Evidence]:
    """What recordings tell; without any, only what the warehouse alone decides is asked."""
    if not request.recordings:
        known = [one.key for one in plan.plan.audiences if not _counts_events(plan.plan, one.key)]
        if request.audience not in known:
            raise NoEvents(request.audience)
        asked = probe(plan, request.audience, known)
    at = request.now if request.at is None else request.at
    parent = plan.parent_model.key
    group = KeyGroup(asked.plan.plan)
    evidence = _Evidence([group], at, events=0)
    readers: dict[tuple[str | None, str | None], EventReader] = {}
    for recording in request.recordings:
        place = recording.source, recording.format
        if place not in readers:
            readers[place] = EventReader(loaded.project.events, {parent: asked.plan}, *place)
        for chunk in read_file(recording.file):
            batch = readers[place].read(chunk, request.policy)
            progress(chunk.size)
            evidence.events = (evidence.events or 0) + batch.received
            if parent in batch.inputs:
                _count(group, batch.inputs[parent], evidence, request.sample)
    return asked, evidence


def _count(group: KeyGroup, inputs: Inputs, evidence: _Evidence, sample: Sample) -> None:
    early = inputs.arrivals <= evidence.at
    if not early.all():
        inputs = inputs.taken(np.flatnonzero(early))
    if inputs.size:
        latest = int(inputs.arrivals.max())
        evidence.latest = latest if evidence.latest is None else max(latest, evidence.latest)
        group.apply(sample.of_inputs(inputs))


def _counts_events(plan: Plan, audience: str) -> bool:
    return any(isinstance(leaf, Performed) for leaf in leaves_of(plan, audience))
