"""What a realtime job needs before it starts: followed sources, snapshots that are up to date."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
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
from dataflows.following import OpenSource, StoredShare
from dataflows.meetings import Gate, Meeting
from dataflows.recalling import OpenHistory, Recall
from dataflows.shares import (
    WHOLE,
    Share,
    reading_names,
    share_names,
    sources_of,
)
from dataflows.steps import GroupTransitions
from project.folder import LoadedProject
from schedules.pulls import next_pull
from warehouse.collections import digests_of
from warehouse.errors import WarehouseError
from warehouse.pull import pull
from warehouse.snapshot import WarehouseSnapshot, current

# A source whose path this is reads events from standard input.
STANDARD_INPUT = "-"


def _unheard() -> None:
    """Nobody wants to know."""


class JobRefused(Exception):
    """The job cannot start here; the text says why and what to do."""


class Outputs(Protocol):
    """Where what the job finds goes."""

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
    """What a realtime job works on and with; `stop` ends it once what was read is evaluated.

    Of a job of several processes, this is the part of one: that which reads `share`.
    """

    loaded: LoadedProject
    audiences: Audiences
    sources: Mapping[str, OpenSource]
    started: int
    outputs: Outputs
    readings: Sequence[str]  # the names of what all shares read
    begin: Meeting  # of all shares, before they read anything
    past: Gate  # opened when all that arrived before `started` has been read
    histories: Mapping[str, OpenHistory]
    share: Share = WHOLE
    stored: Mapping[str, StoredShare] | None = None  # what the shares of an earlier job had come to
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
    job = job_of(loaded, started, outputs, lambda: fresh_snapshots(loaded, started))
    return replace(job, backfill=backfill)


def job_of(
    loaded: LoadedProject,
    started: int,
    outputs: Outputs,
    snapshots: Callable[[], Mapping[str, WarehouseSnapshot]],
    share: Share = WHOLE,
    meetings: Path | None = None,
    begun: Callable[[], None] = _unheard,
) -> Job:
    """One process's part of a job.

    Args:
        meetings: A folder for the processes of this start of the job.
        begun: Called when all shares have met, and reading begins.

    Raises:
        As `open_sources`.
    """
    past = Gate(meetings and meetings / "past")
    sources = open_sources(loaded, share, started, past)
    return Job(
        loaded=loaded,
        audiences=Audiences(loaded.project.plans, snapshots(), live=True, warming=outputs.warming),
        sources=sources,
        started=started,
        outputs=outputs,
        readings=reading_names(loaded.project.sources, share.count),
        begin=Meeting(share_names(share.count), meetings and meetings / "begin", begun),
        past=past,
        share=share,
        histories={key: _history(loaded, one) for key, one in loaded.project.sources.items()},
    )


def _history(loaded: LoadedProject, source: Settings) -> OpenHistory:
    if source.type == "kafka":
        return partial(KafkaHistory, source, _group(loaded, source), tell)
    path = str(source.options["path"])
    if path == STANDARD_INPUT:
        return lambda _positions, _since: NoHistory()

    def remember(positions: Sequence[bytes], since: int) -> FileHistory:
        return FileHistory([loaded.root / path], positions[0] if positions else None, since)

    return remember


def _group(loaded: LoadedProject, source: Settings) -> str:
    """The consumer group in which a topic is read."""
    return f"usher-{loaded.project.name}-{source.key}"


def fresh_snapshots(loaded: LoadedProject, now: int) -> dict[str, WarehouseSnapshot]:
    """Of each parent model the snapshot in force; pulled now if it is due.

    Raises:
        WarehouseError: a parent model cannot be pulled.
    """
    return {parent: _snapshot(loaded, plan, now) for parent, plan in loaded.project.plans.items()}


def open_sources(
    loaded: LoadedProject, share: Share, started: int, past: Gate
) -> dict[str, OpenSource]:
    """The sources that a share reads, by key.

    Topics have a past, what arrived before the job started.  Nobody reads on in one before the gate
    is open.

    Raises:
        JobRefused: the project asks for what this release cannot run.
        SourceError: a source cannot be followed.
    """
    project = loaded.project
    sources: dict[str, OpenSource] = {}
    for source in sources_of(project.sources, share):
        match source.type:
            case "file":
                opened = _file_source(loaded, source)
            case "kafka":
                opened = partial(
                    KafkaSource(source, _group(loaded, source), tell, started).follow,
                    has=share.has,
                    goes_on=lambda: past.is_open,
                )
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

    def follow(positions: Sequence[bytes]) -> FollowedFiles:
        return FollowedFiles([loaded.root / path], positions[0] if positions else None)

    return follow


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
        and known.has_collections(digests_of(plan))
        and next_pull(model.pull, known.taken_at) > now
    ):
        return known
    return pull(loaded.root, loaded.project.warehouse, plan, now)


def _standard_input(_positions: Sequence[bytes]) -> FollowedInput:
    return _the_input()


@cache
def _the_input() -> FollowedInput:
    """One for the process: a job that follows another goes on in the middle of a line."""
    return FollowedInput()
