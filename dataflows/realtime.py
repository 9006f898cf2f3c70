"""The realtime job, at a glance.

    sources ─► read: decode, match ─► tell time ─► evaluate_audiences ─► transitions
                        └─► dead letters

A job of several processes runs this flow in each.  Every process reads its share of the sources,
evaluates its part of the key groups and records what comes of them; in between, all that was read
goes through one clock, which is in one of them.  A backfill's histories come in where the sources
do, and count as what happened before.  Flow and step ids are part of what a stored job is resumed
by; they never change.

`python -m bytewax.run "dataflows.realtime:flow_of('examples/shop')"` runs the job as well, with
Bytewax's own options for workers and recovery.
"""

from __future__ import annotations

import atexit
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from typing_extensions import override

from audience_dsl.syncs import carried_properties
from connectors.sentences import Alarm
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.chunks import DeadLetter
from connectors.sources.errors import SourceError
from connectors.sources.reader import Batch, EventReader
from dataflows import holding
from dataflows.adapters import CallbackSink, WorkerSink
from dataflows.clocks import LiveClock
from dataflows.evaluation import evaluate_audiences
from dataflows.following import FollowedSource, Polled
from dataflows.lines import print_lines
from dataflows.log_lines import tell
from dataflows.ownership import sole_job
from dataflows.preparation import Job
from dataflows.recalling import Ends, Histories, Recalled
from dataflows.refusal import JobRefused
from dataflows.shares import reading_name, slowest
from dataflows.signals import handled
from dataflows.single import SingleJob
from dataflows.steps import GroupTransitions, Step, arranged_by_group
from dataflows.switching import Switching
from dataflows.wire import pack_inputs
from engine.inputs import Inputs
from membership.errors import StoreError
from project.folder import load_project
from warehouse.errors import WarehouseError

_CLOCK = "clock"

# Time that passes between two steps in which nothing happens.
PACE = 40_000

# An event normally reaches us within this time of its arrival; ticks wait for it.
ALLOWANCE = 100_000


def realtime_flow(job: Job) -> Dataflow:
    pack_inputs()
    flow = Dataflow("usher-realtime")
    polled = op.input("events", flow, _sources(job))
    readings = op.flat_map("read", polled, Readers(job).read)
    broken = op.flat_map("dead_letters", readings, dead_letters)
    op.output("bury", broken, CallbackSink(job.outputs.bury))
    told = op.flat_map_batch("key_by_clock", readings, told_to_clock)
    steps = op.stateful_batch("tell_time", told, partial(Time, job))
    transitions = evaluate_audiences("audiences", op.key_rm("told", steps), job.audiences)
    op.output("transitions", transitions, WorkerSink(partial(_take, job)))
    return flow


def _sources(job: Job) -> FollowedSource:
    followed = partial(
        FollowedSource,
        job.share,
        job.sources,
        job.stored,
        job.begin,
        job.stop,
        job.outputs.failed,
    )
    if job.recall is None or job.backfill is None:
        return followed()
    histories = partial(Histories, job.histories, recall=job.recall, told=job.backfill)
    return followed(histories, job.backfill.settle, first=job.backfill.is_alone)


def _take(job: Job, found: Sequence[GroupTransitions]) -> None:
    job.outputs.take(found)
    job.questions.answer(answer for one in found for answer in one.answers)
    if job.backfill is not None:
        job.backfill.take(found)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a share has read of one source until `now`; no batch where there was nothing new.

    Of a history the batch is `recalled`; at its end there is none, but since when it is complete.
    """

    source: str
    name: str  # of the source and the share
    batch: Batch | None
    caught_up: bool
    now: int
    reached: int | None
    recalled: bool = False
    known_since: int | None = None


class Told(NamedTuple):
    """What the clock is told of a reading."""

    source: str
    name: str
    inputs: dict[str, Inputs]  # by parent model
    reached: int | None
    caught_up: bool
    now: int
    recalled: bool
    known_since: int | None


class Readers:
    """Decode and match what the sources deliver, each by its own format."""

    def __init__(self, job: Job) -> None:
        project = job.loaded.project
        self._count = job.outputs.count
        self._recall = job.recall
        self._names = {key: reading_name(key, job.share) for key in job.sources}
        self._readers = {}
        self._rereaders = {}
        for key in job.sources:
            named = project.sources[key].options.get("format")
            form = None if named is None else str(named)
            self._readers[key] = EventReader(
                project.events, project.plans, key, form, carried=carried_properties(project)
            )
            if job.recall is not None:
                self._rereaders[key] = EventReader(
                    project.events, project.plans, key, form, job.recall.counted
                )

    def read(self, polled: Polled) -> Iterator[Reading]:
        """One reading a chunk, and one for a source without."""
        if polled.recalled is not None:
            yield self._reread(polled.recalled, polled.now)
            return
        key, now, reached = polled.source, polled.now, polled.reached
        reader, name = self._readers[key], self._names[key]
        for number, chunk in enumerate(polled.chunks, start=1):
            batch = reader.read(chunk, ArrivalPolicy.LIVE, polled.read_at)
            self._count(key, batch)
            caught_up = polled.caught_up and number == len(polled.chunks)
            yield Reading(key, name, batch, caught_up, now, reached)
        if not polled.chunks:
            yield Reading(key, name, None, polled.caught_up, now, reached)

    def _reread(self, recalled: Recalled, now: int) -> Reading:
        """What the records of a history mean that may still matter; nobody counts them again."""
        assert self._recall is not None
        source, batch = recalled.source, None
        if recalled.chunk is not None:
            reader = self._rereaders[source]
            batch = reader.read(recalled.chunk, ArrivalPolicy.RECALLED, self._recall.clock)
            batch = batch._replace(inputs=self._recall.young(batch.inputs), dead_letters=[])
        name = self._names[source]
        return Reading(source, name, batch, False, now, None, True, recalled.known_since)


def dead_letters(reading: Reading) -> Iterable[tuple[str, DeadLetter]]:
    letters = [] if reading.batch is None else reading.batch.dead_letters
    return [(reading.source, letter) for letter in letters]


def told_to_clock(readings: list[Reading]) -> list[tuple[str, Told]]:
    """What the clock needs to know, arranged by key group where there are many hands for it."""
    told = []
    for reading in readings:
        inputs, reached = {}, reading.reached
        if reading.batch is not None:
            reached = reading.batch.latest_arrival if reached is None else reached
            inputs = {key: arranged_by_group(one) for key, one in reading.batch.inputs.items()}
        one = Told(
            reading.source,
            reading.name,
            inputs,
            reached,
            reading.caught_up,
            reading.now,
            reading.recalled,
            reading.known_since,
        )
        told.append((_CLOCK, one))
    return told


class Time(StatefulBatchLogic[Told, Step, bytes]):
    """Gives readings their time.

    It is one key, so there is one clock, in one process, whoever has read.  It starts anew with
    every job and keeps nothing but what waits for a switch: the key groups know what their time is.

    It alone can say when the past has been read: what a share has read may still be on its way.
    """

    def __init__(self, job: Job, stored: bytes | None) -> None:
        self._plans = {key: one.plan for key, one in job.audiences.plans.items()}
        self._switching = Switching(job)
        self._clock = LiveClock(
            job.started,
            ALLOWANCE,
            job.readings,
            PACE,
            self._switching.repeated,
            holding.from_bytes(stored or b"", self._plans),
            job.audiences.resumed_at,
        )
        self._past = job.past
        self._outputs = job.outputs
        self._ends = None if job.recall is None else Ends(job.recall)
        self._questions = job.questions

    @override
    def on_batch(self, values: list[Told]) -> tuple[Sequence[Step], bool]:
        steps: list[Step] = []
        for one in values:
            if one.recalled:
                steps += self._recalled(one)
            else:
                steps += self._clock.steps(
                    one.name, one.inputs, one.reached, one.caught_up, one.now
                )
        if self._clock.now is not None and (asked := self._questions.taken()):
            steps.append(Step(None, {}, self._clock.now, asked=asked))
        if self._clock.has_passed_start:
            self._past.open()
        if self._clock.now is not None:
            reached = slowest(self._clock.reached)
            has_caught_up = self._clock.has_passed_start
            self._outputs.tell_time(self._clock.now, reached, has_caught_up=has_caught_up)
        # What is recalled is nobody's cause to enter or exit, so no snapshot comes in between.
        if self._clock.can_switch and self._ends is None:
            switch = self._switching.due(self._clock.next_instant)
            if switch is not None:
                self._clock.switch(switch)
        return steps, StatefulBatchLogic.RETAIN

    def _recalled(self, told: Told) -> Iterator[Step]:
        if told.inputs:
            yield self._clock.recall(told.inputs, None)
        if told.known_since is not None:
            assert self._ends is not None
            known_since = self._ends.take(told.source, told.known_since)
            if known_since is not None:
                self._ends = None
                yield self._clock.recall({}, known_since)

    @override
    def snapshot(self) -> bytes:
        self._switching.close_epoch(self._clock.told)
        return holding.to_bytes(self._clock.held, self._plans)


# What a job holds that was started by Bytewax's own runner: until the process ends.
_HELD = ExitStack()


def _end() -> None:
    try:
        _HELD.close()
    except (OSError, StoreError) as error:
        tell(Alarm(str(error)))


def flow_of(folder: str) -> Dataflow:
    """The job of a project folder, for Bytewax's own runner; SIGTERM ends it cleanly.

    Raises:
        SystemExit: the definitions have mistakes, or the job cannot run here.
    """
    loading = load_project(Path(folder))
    if loading.loaded is None:
        raise SystemExit("\n".join(one.to_text() for one in loading.diagnostics))
    try:
        _HELD.enter_context(sole_job(loading.loaded.root))
        single = SingleJob(loading.loaded, print_lines)
        _HELD.enter_context(handled({signal.SIGTERM: single.job.stop.set}))
        job = _HELD.enter_context(single)
    except (JobRefused, SourceError, StoreError, WarehouseError, OSError) as error:
        raise SystemExit(f"usher: {error}") from error
    atexit.register(_end)
    return realtime_flow(job)
