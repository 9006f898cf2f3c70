"""What a realtime job needs before it starts: followed sources, snapshots that are up to date."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Protocol

from audience_dsl.definitions import ParentPlan, Settings
from connectors.sources.chunks import DeadLetter
from connectors.sources.followed import FollowedFiles, FollowedInput
from connectors.sources.history import FileHistory, NoHistory
from connectors.sources.kafka.history import KafkaHistory
from connectors.sources.kafka.source import KafkaSource
from connectors.sources.reader import Batch
from dataflows.backfill import Backfill
from dataflows.evaluation import Audiences
from dataflows.following import OpenSource
from dataflows.recalling import OpenHistory, Recall
from dataflows.steps import GroupTransitions
from project.folder import LoadedProject
from schedules.pulls import next_pull
from warehouse.errors import WarehouseError
from warehouse.pull import pull
from warehouse.snapshot import WarehouseSnapshot, current

# A source whose path this is reads events from standard input.
STANDARD_INPUT = "-"


class JobRefused(Exception):
    """The job cannot start here; the text says why and what to do."""


class Outputs(Protocol):
    """Where what the job finds goes."""

    def begin(self) -> None:
        """Get ready; nothing is taken before."""

    def take(self, found: Sequence[GroupTransitions]) -> None: ...

    def bury(self, letters: Sequence[DeadLetter]) -> None: ...

    def count(self, batch: Batch) -> None: ...

    def failed(self, error: Exception) -> None: ...

    def warming(self, conditions: Mapping[str, int]) -> None:
        """These conditions do not know all that they should, until those instants."""

    def settle(self) -> None:
        """Return when all that was taken and buried is safe."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a realtime job works on and with; `stop` ends it once what was read is evaluated."""

    loaded: LoadedProject
    audiences: Audiences
    sources: Mapping[str, OpenSource]
    started: int
    outputs: Outputs
    histories: Mapping[str, OpenHistory]
    stop: threading.Event = field(default_factory=threading.Event)
    backfill: Backfill | None = None  # one that was asked for
    recall: Recall | None = None  # what it has to bring back


def prepare_job(
    loaded: LoadedProject, started: int, outputs: Outputs, backfill: Backfill | None = None
) -> Job:
    """Follow the sources and bring the snapshots up to date.

    Raises:
        JobRefused: the project asks for what this release cannot run.
        WarehouseError: a parent model cannot be pulled.
        SourceError: a source cannot be followed.
    """
    sources = _sources(loaded)
    snapshots = {
        parent: _snapshot(loaded, plan, started) for parent, plan in loaded.project.plans.items()
    }
    return Job(
        loaded=loaded,
        audiences=Audiences(loaded.project.plans, snapshots, live=True, warming=outputs.warming),
        sources=sources,
        started=started,
        outputs=outputs,
        backfill=backfill,
        histories={key: _history(loaded, one) for key, one in loaded.project.sources.items()},
    )


def _history(loaded: LoadedProject, source: Settings) -> OpenHistory:
    if source.type == "kafka":
        return partial(KafkaHistory, source, _group(loaded, source), tell)
    path = str(source.options["path"])
    if path == STANDARD_INPUT:
        return lambda _position, _since: NoHistory()
    return partial(FileHistory, [loaded.root / path])


def _group(loaded: LoadedProject, source: Settings) -> str:
    """The consumer group in which a topic is read."""
    return f"usher-{loaded.project.name}-{source.key}"


def _sources(loaded: LoadedProject) -> dict[str, OpenSource]:
    sources: dict[str, OpenSource] = {}
    for source in loaded.project.sources.values():
        match source.type:
            case "file":
                opened = _file_source(loaded, source)
            case "kafka":
                opened = KafkaSource(source, _group(loaded, source), tell).follow
            case _:
                raise JobRefused(
                    f"source '{source.key}' is of type {source.type}, which this release does not "
                    "follow yet; use type: file or type: kafka"
                )
        if opened is _standard_input and opened in sources.values():
            raise JobRefused(
                f"source '{source.key}' reads standard input, as another source does already"
            )
        sources[source.key] = opened
    return sources


def _file_source(loaded: LoadedProject, source: Settings) -> OpenSource:
    path = str(source.options["path"])
    if path == STANDARD_INPUT:
        return _standard_input
    return partial(FollowedFiles, [loaded.root / path])


def tell(sentence: str) -> None:
    """Say something to whoever looks after the job."""
    sys.stderr.write(f"usher: {sentence}\n")
    sys.stderr.flush()


def _snapshot(loaded: LoadedProject, plan: ParentPlan, now: int) -> WarehouseSnapshot:
    """The snapshot in force if it answers this plan and no pull is due yet; else a new one."""
    model = plan.parent_model
    try:
        known = current(loaded.root, model.key)
    except WarehouseError:
        known = None  # damaged: it is only a copy
    if (
        known is not None
        and known.answers(plan.predicates)
        and next_pull(model.pull, known.taken_at) > now
    ):
        return known
    return pull(loaded.root, loaded.project.warehouse, plan, now)


def _standard_input(_position: bytes | None) -> FollowedInput:
    return _the_input()


@cache
def _the_input() -> FollowedInput:
    """One for the process: a job that follows another goes on in the middle of a line."""
    return FollowedInput()
