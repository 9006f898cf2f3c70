"""The realtime job, at a glance.

    sources ─► read: decode, match ─► tell time ─► evaluate_audiences ─► transitions
                        └─► dead letters

Everything before the evaluation is one partition: sources are followed, read and given their time
in one place, so that there is one clock.  Flow and step ids are part of what a stored job is
resumed by; they never change.

`python -m bytewax.run "dataflows.realtime:flow_of('examples/shop')"` runs the job as well, with
Bytewax's own options for workers and recovery.
"""

from __future__ import annotations

import atexit
import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.chunks import DeadLetter
from connectors.sources.errors import SourceError
from connectors.sources.reader import Batch, EventReader
from dataflows.adapters import CallbackSink
from dataflows.clocks import LiveClock
from dataflows.evaluation import evaluate_audiences
from dataflows.following import FollowedSource, Polled
from dataflows.lines import print_lines
from dataflows.ownership import sole_job
from dataflows.preparation import Job, JobRefused, tell
from dataflows.single import SingleJob
from dataflows.steps import Step
from membership.errors import StoreError
from project.folder import load_project
from warehouse.errors import WarehouseError

# An event normally reaches us within this time of its arrival; ticks wait for it.
ALLOWANCE = 100_000


def realtime_flow(job: Job) -> Dataflow:
    flow = Dataflow("usher-realtime")
    polled = op.input("events", flow, FollowedSource(job.sources, job.stop, job.outputs.failed))
    readings = op.flat_map("read", polled, Readers(job).read)
    broken = op.flat_map("dead_letters", readings, dead_letters)
    op.output("bury", broken, CallbackSink(job.outputs.bury, job.outputs.settle))
    steps = op.flat_map("tell_time", readings, Time(job).steps)
    transitions = evaluate_audiences("audiences", steps, job.audiences)
    op.output("transitions", transitions, CallbackSink(job.outputs.take, job.outputs.settle))
    return flow


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source has delivered until `now`; no batch where it had nothing new."""

    source: str
    batch: Batch | None
    caught_up: bool
    now: int
    reached: int | None


class Readers:
    """Decode and match what the sources deliver, each by its own format."""

    def __init__(self, job: Job) -> None:
        project = job.loaded.project
        self._count = job.outputs.count
        self._readers = {}
        for key in job.sources:
            named = project.sources[key].options.get("format")
            form = None if named is None else str(named)
            self._readers[key] = EventReader(project.events, project.plans, key, form)

    def read(self, polled: Polled) -> Iterator[Reading]:
        """One reading a chunk, and one for a source without."""
        reader = self._readers[polled.source]
        for number, chunk in enumerate(polled.chunks, start=1):
            batch = reader.read(chunk, ArrivalPolicy.LIVE, polled.read_at)
            self._count(batch)
            caught_up = polled.caught_up and number == len(polled.chunks)
            yield Reading(polled.source, batch, caught_up, polled.now, polled.reached)
        if not polled.chunks:
            yield Reading(polled.source, None, polled.caught_up, polled.now, polled.reached)


class Time:
    """Give readings their time."""

    def __init__(self, job: Job) -> None:
        self._clock = LiveClock(job.started, ALLOWANCE, job.sources)

    def steps(self, reading: Reading) -> Iterator[Step]:
        inputs = {} if reading.batch is None else reading.batch.inputs
        reached = reading.reached
        if reached is None and reading.batch is not None:
            reached = reading.batch.latest_arrival
        return self._clock.steps(reading.source, inputs, reached, reading.caught_up, reading.now)


def dead_letters(reading: Reading) -> Iterable[tuple[str, DeadLetter]]:
    letters = [] if reading.batch is None else reading.batch.dead_letters
    return [(reading.source, letter) for letter in letters]


# What a job holds that was started by Bytewax's own runner: until the process ends.
_HELD = ExitStack()


def _end() -> None:
    try:
        _HELD.close()
    except (OSError, StoreError) as error:
        tell(str(error))


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
        job = _HELD.enter_context(SingleJob(loading.loaded, print_lines))
    except (JobRefused, SourceError, StoreError, WarehouseError, OSError) as error:
        raise SystemExit(f"usher: {error}") from error
    atexit.register(_end)
    signal.signal(signal.SIGTERM, lambda _number, _frame: job.stop.set())
    return realtime_flow(job)
