"""The realtime job, at a glance.

    sources ─► read: decode, match ─► tell time ─► evaluate_audiences ─► transitions
                        └─► dead letters

A backfill's histories come in where the sources do, and count as what happened before.

Everything before the evaluation is one partition: sources are followed, read and given their time
in one place, so that there is one clock.  Flow and step ids are part of what a stored job is
resumed by; they never change.

`python -m bytewax.run "dataflows.realtime:flow_of('examples/shop')"` runs the job as well, with
Bytewax's own options for workers and recovery.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.chunks import DeadLetter
from connectors.sources.errors import SourceError
from connectors.sources.reader import Batch, EventReader
from dataflows.adapters import CallbackSink
from dataflows.clocks import LiveClock
from dataflows.emission import Emission
from dataflows.evaluation import evaluate_audiences
from dataflows.following import FollowedSource, Polled, wall_clock
from dataflows.ownership import sole_job
from dataflows.preparation import Job, JobRefused, prepare_job
from dataflows.recalling import Ends, Histories, Recalled
from dataflows.steps import GroupTransitions, Step
from project.folder import load_project
from warehouse.errors import WarehouseError

# An event normally reaches us within this time of its arrival; ticks wait for it.
ALLOWANCE = 100_000


def realtime_flow(job: Job) -> Dataflow:
    flow = Dataflow("usher-realtime")
    polled = op.input("events", flow, _followed(job))
    readings = op.flat_map("read", polled, Readers(job).read)
    broken = op.flat_map("dead_letters", readings, dead_letters)
    op.output("bury", broken, CallbackSink(job.outputs.bury, job.outputs.settle))
    steps = op.flat_map("tell_time", readings, Time(job).steps)
    transitions = evaluate_audiences("audiences", steps, job.audiences)
    op.output(
        "transitions",
        transitions,
        CallbackSink(partial(_take, job), partial(_settle, job), job.outputs.begin),
    )
    return flow


def _followed(job: Job) -> FollowedSource:
    if job.recall is None or job.backfill is None:
        return FollowedSource(job.sources, job.stop, job.outputs.failed)
    histories = partial(Histories, job.histories, recall=job.recall, told=job.backfill)
    first = job.backfill.is_alone
    return FollowedSource(job.sources, job.stop, job.outputs.failed, histories, first=first)


def _take(job: Job, found: Sequence[GroupTransitions]) -> None:
    job.outputs.take(found)
    if job.backfill is not None:
        job.backfill.take(found)


def _settle(job: Job) -> None:
    job.outputs.settle()
    if job.backfill is not None:
        job.backfill.settle()


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source has delivered until `now`; no batch where it had nothing new.

    Of a history the batch is `recalled`; at its end there is none, but since when it is complete.
    """

    source: str
    batch: Batch | None
    caught_up: bool
    now: int
    reached: int | None
    recalled: bool = False
    known_since: int | None = None


class Readers:
    """Decode and match what the sources deliver, each by its own format."""

    def __init__(self, job: Job) -> None:
        project = job.loaded.project
        self._count = job.outputs.count
        self._recall = job.recall
        self._readers = {}
        self._rereaders = {}
        for key in job.sources:
            named = project.sources[key].options.get("format")
            form = None if named is None else str(named)
            self._readers[key] = EventReader(project.events, project.plans, key, form)
            if job.recall is not None:
                self._rereaders[key] = EventReader(
                    project.events, project.plans, key, form, job.recall.counted
                )

    def read(self, polled: Polled) -> Iterator[Reading]:
        """One reading a chunk, and one for a source without."""
        if polled.recalled is not None:
            yield self._reread(polled.recalled, polled.now)
            return
        reader = self._readers[polled.source]
        for number, chunk in enumerate(polled.chunks, start=1):
            batch = reader.read(chunk, ArrivalPolicy.LIVE, polled.now)
            self._count(batch)
            caught_up = polled.caught_up and number == len(polled.chunks)
            yield Reading(polled.source, batch, caught_up, polled.now, polled.reached)
        if not polled.chunks:
            yield Reading(polled.source, None, polled.caught_up, polled.now, polled.reached)

    def _reread(self, recalled: Recalled, now: int) -> Reading:
        """What the records of a history mean that may still matter; nobody counts them again."""
        assert self._recall is not None
        source, batch = recalled.source, None
        if recalled.chunk is not None:
            reader = self._rereaders[source]
            batch = reader.read(recalled.chunk, ArrivalPolicy.RECALLED, self._recall.clock)
            batch = batch._replace(inputs=self._recall.young(batch.inputs), dead_letters=[])
        return Reading(source, batch, False, now, None, True, recalled.known_since)


class Time:
    """Give readings their time."""

    def __init__(self, job: Job) -> None:
        self._clock = LiveClock(job.started, ALLOWANCE, job.sources)
        self._ends = None if job.recall is None else Ends(job.recall)

    def steps(self, reading: Reading) -> Iterator[Step]:
        if reading.recalled:
            yield from self._recalled(reading)
            return
        inputs = {} if reading.batch is None else reading.batch.inputs
        reached = reading.reached
        if reached is None and reading.batch is not None:
            reached = reading.batch.latest_arrival
        yield from self._clock.steps(
            reading.source, inputs, reached, reading.caught_up, reading.now
        )

    def _recalled(self, reading: Reading) -> Iterator[Step]:
        if reading.batch is not None and reading.batch.inputs:
            yield self._clock.recall(reading.batch.inputs, None)
        if reading.known_since is not None:
            assert self._ends is not None
            known_since = self._ends.take(reading.source, reading.known_since)
            if known_since is not None:
                yield self._clock.recall({}, known_since)


def dead_letters(reading: Reading) -> Iterable[tuple[str, DeadLetter]]:
    letters = [] if reading.batch is None else reading.batch.dead_letters
    return [(reading.source, letter) for letter in letters]


# What a job holds that was started by Bytewax's own runner: until the process ends.
_HELD = ExitStack()


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
        emission = Emission(loading.loaded, partial(print, flush=True))
        job = prepare_job(loading.loaded, wall_clock(), emission)
    except (JobRefused, SourceError, WarehouseError, OSError) as error:
        raise SystemExit(f"usher: {error}") from error
    signal.signal(signal.SIGTERM, lambda _number, _frame: job.stop.set())
    return realtime_flow(job)
