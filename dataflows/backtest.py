"""Backtests: recorded events replayed through the job's own evaluation, with a virtual clock.

    files ─► read: decode, match ─► put in order of arrival ─► evaluate_audiences ─► chronicle

A recording is put in order before anything is evaluated, because its files overlap in time.  From
there on a backtest is the live job: the same steps, the same operator, the same core.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.ordering import Ordering
from connectors.sources.reader import Batch, EventReader
from connectors.sources.recorded import RecordedFile, read_file
from dataflows.adapters import CallbackSink, IteratorSource
from dataflows.chronicle import Chronicle
from dataflows.clocks import VirtualClock
from dataflows.evaluation import Audiences, evaluate_audiences
from dataflows.memory import keep_freed_memory, without_cycle_search
from dataflows.outputs import open_output
from dataflows.running import run_flow
from dataflows.steps import GroupTransitions, Step
from dataflows.summary import RecordCounts, Summary
from dataflows.switches import Switch
from project.folder import LoadedProject
from warehouse.dated import dated_snapshots, dated_versions, in_force
from warehouse.pull import pull
from warehouse.snapshot import WarehouseSnapshot

# Bytewax closes an epoch now and then; between epochs nothing bounds what waits for a worker.
_EPOCH = timedelta(seconds=1)

# Events that are evaluated between two ticks: many, because every step costs each key group a
# call; few enough that what waits for its order stays small.
_BLOCK = 1 << 17


@dataclass(frozen=True, slots=True)
class Recording:
    """One file and the source that it belongs to; `None` if it was named by hand."""

    file: RecordedFile
    source: str | None
    format: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """What to replay, and how.

    Instants are microseconds since 1970 UTC.  Without `start`, the snapshot takes force at the
    earliest arrival; without `until`, time ends at the latest.  Without a folder of dated
    `snapshots`, the parent models are pulled as they are now.
    """

    recordings: Sequence[Recording]
    policy: ArrivalPolicy = ArrivalPolicy.EVENT
    start: int | None = None
    until: int | None = None
    audiences: Collection[str] | None = None
    workers: int = 1
    output: Path | None = None
    snapshots: Path | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """`start` and `until` are the first and last instant of what was evaluated, if anything was."""

    records: RecordCounts
    summary: Summary
    dead_letters: dict[str, int]  # how many for each reason
    start: int | None
    until: int | None


def backtest_flow(
    steps: Iterator[Step], audiences: Audiences, take: Callable[[Sequence[GroupTransitions]], None]
) -> Dataflow:
    flow = Dataflow("usher-backtest")
    stream = op.input("recording", flow, IteratorSource(steps))
    transitions = evaluate_audiences("audiences", stream, audiences)
    op.output("chronicle", transitions, CallbackSink(take))
    return flow


def run_backtest(
    loaded: LoadedProject,
    request: Request,
    progress: Callable[[int], None] = lambda _size: None,
) -> Result:
    """Replay recordings and report every transition of the audiences that are asked for.

    Args:
        progress: Called with the bytes of each stretch of a file that has been read.

    Raises:
        SourceError: a recording cannot be read.
        WarehouseError: a parent model cannot be pulled, or a dated snapshot cannot be used.
        OSError: the output cannot be written.
    """
    project = loaded.project
    keys = project.audiences.keys() if request.audiences is None else request.audiences
    records = RecordCounts()
    dead_letters: dict[str, int] = {}
    plans = [parent.plan for parent in project.plans.values()]
    summary = Summary(plans, keys)
    keep_freed_memory()
    with ExitStack() as resources:
        resources.enter_context(without_cycle_search())
        ordering = resources.enter_context(Ordering())
        pulls = (
            [] if request.snapshots is None else dated_versions(request.snapshots, project.plans)
        )
        output = request.output and resources.enter_context(
            open_output(request.output, plans, pulls)
        )
        span = _read(loaded, request, ordering, records, dead_letters, progress)
        start = span.earliest if request.start is None else request.start
        if start is None or (request.until is not None and request.until < start):
            records.ignored = records.read - records.invalid
            return Result(records, summary, dead_letters, None, None)
        until = max(start, span.latest or start) if request.until is None else request.until
        store = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="usher-")))
        dated = _dated(loaded, request, start, until, store)
        chronicle = Chronicle(plans, request.audiences, pulls)
        clock = VirtualClock(start, until, dated.switches)

        def steps() -> Iterator[Step]:
            for inputs, reached in ordering.blocks(_BLOCK):
                yield from clock.steps(inputs, reached)
            yield from clock.last_step()

        def take(found: Sequence[GroupTransitions]) -> None:
            for transitions in found:
                records.add_evaluated(transitions.counts)
                complete = chronicle.add(transitions)
                if complete is not None:
                    summary.add(complete)
                    if output:
                        output.write(complete)

        audiences = Audiences(project.plans, dated.first, live=False, dated=dated.later)
        flow = backtest_flow(steps(), audiences, take)
        run_flow(flow, workers=request.workers, epoch=_EPOCH)
        records.ignored += clock.beyond
        return Result(records, summary, dead_letters, start, until)


class _Dated(NamedTuple):
    """Snapshots by parent model, and by version where they take force later, with the switches."""

    first: dict[str, WarehouseSnapshot]
    later: dict[tuple[str, str], WarehouseSnapshot]
    switches: list[Switch]


def _dated(loaded: LoadedProject, request: Request, start: int, until: int, spare: Path) -> _Dated:
    """The snapshots that take force from `start` to `until`."""
    plans = loaded.project.plans
    dated = _Dated({}, {}, [])
    for number, (parent, plan) in enumerate(plans.items()):
        if request.snapshots is None:
            warehouse = loaded.project.warehouse
            asked = replace(plan, collections=())
            dated.first[parent] = pull(loaded.root, warehouse, asked, start, store=spare)
            continue
        found = dated_snapshots(request.snapshots, plan, spare / str(number))
        first = in_force(found, start)
        dated.first[parent] = found[first]
        for one in found[first + 1 :]:
            if one.taken_at <= until:
                dated.later[parent, one.version] = one
                dated.switches.append(Switch(one.taken_at, {parent: one.version}))
    dated.switches.sort(key=lambda one: one.at)
    return dated


@dataclass(slots=True)
class _Span:
    """The first and the last arrival of a recording."""

    earliest: int | None = None
    latest: int | None = None

    def include(self, batch: Batch) -> None:
        for inputs in batch.inputs.values():
            first, last = int(inputs.arrivals.min()), int(inputs.arrivals.max())
            self.earliest = first if self.earliest is None else min(self.earliest, first)
            self.latest = last if self.latest is None else max(self.latest, last)


def _read(
    loaded: LoadedProject,
    request: Request,
    ordering: Ordering,
    records: RecordCounts,
    dead_letters: dict[str, int],
    progress: Callable[[int], None],
) -> _Span:
    span = _Span()
    project = loaded.project
    readers: dict[tuple[str | None, str | None], EventReader] = {}
    for recording in request.recordings:
        place = recording.source, recording.format
        if place not in readers:
            readers[place] = EventReader(project.events, project.plans, *place)
        for chunk in read_file(recording.file):
            batch = readers[place].read(chunk, request.policy)
            records.read += batch.received
            records.ignored += batch.ignored
            records.invalid += len(batch.dead_letters)
            for letter in batch.dead_letters:
                dead_letters[letter.reason] = dead_letters.get(letter.reason, 0) + 1
            ordering.add(batch.inputs)
            span.include(batch)
            progress(chunk.size)
    return span
