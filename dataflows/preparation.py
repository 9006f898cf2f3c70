"""What a realtime job needs before it starts: followed sources, snapshots that are up to date."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Protocol

from audience_dsl.definitions import ParentPlan, Settings
from connectors.collected.folder import log_folder
from connectors.collected.history import CollectedHistory
from connectors.collected.source import CollectedSource
from connectors.sources.chunks import DeadLetter
from connectors.sources.followed import FollowedFiles, FollowedInput
from connectors.sources.history import FileHistory, NoHistory
from connectors.sources.kafka.history import KafkaHistory
from connectors.sources.kafka.source import KafkaSource
from connectors.sources.reader import Batch
from connectors.sources.source import Portion
from dataflows.backfill import Backfill
from dataflows.evaluation import Audiences
from dataflows.following import OpenSource, StoredShare
from dataflows.log_lines import tell
from dataflows.meetings import Gate, Meeting
from dataflows.questions import Asked, Questions
from dataflows.recalling import OpenHistory, Recall
from dataflows.refusal import JobRefused
from dataflows.shares import (
    WHOLE,
    Share,
    reading_names,
    share_names,
    sources_of,
)
from dataflows.steps import GroupTransitions
from dataflows.switches import Switch
from engine.group import Counts
from project.folder import LoadedProject
from warehouse.errors import WarehouseError
from warehouse.history import Trigger
from warehouse.refresh import Request, refresh
from warehouse.snapshot import WarehouseSnapshot, current
from warehouse.versions import Versions, default_store

# A source whose path this is reads events from standard input.
STANDARD_INPUT = "-"

# Seconds between two looks at a pull of another process.
_PAUSE = 0.1


def _unheard() -> None:
    """Nobody wants to know."""


class Outputs(Protocol):
    """Where what the job finds goes."""

    def take(self, found: Sequence[GroupTransitions]) -> None: ...

    def bury(self, letters: Sequence[DeadLetter]) -> None: ...

    def count(self, source: str, batch: Batch) -> None: ...

    def count_evaluated(self, counts: Counts) -> None: ...

    @property
    def giving_way(self) -> Callable[[], AbstractContextManager[None]]:
        """While this lasts, who brings out what was taken leaves the interpreter to others."""

    def tell_time(self, clock: int, reached: Mapping[str, int], *, has_caught_up: bool) -> None:
        """The job has come so far, and perhaps read all that had arrived before its start.

        By source, `reached` is how far that one has been read.
        """

    def failed(self, error: Exception) -> None: ...

    def warming(self, conditions: Mapping[str, int]) -> None:
        """These conditions do not know all that they should, until those instants."""


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
    questions: Asked = field(default_factory=Questions)
    switches: Sequence[Switch] = ()  # what has to be repeated of those of an earlier job


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
    plans = loaded.project.plans
    serving = {key: one.serving(plans[key].predicates) for key, one in snapshots().items()}
    return Job(
        loaded=loaded,
        audiences=Audiences(
            plans, serving, live=True, warming=outputs.warming, counted=outputs.count_evaluated
        ),
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
    if source.type == "http":
        return partial(CollectedHistory, log_folder(loaded.root, source.key), source.key)
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
    """Of each parent model the snapshot in force, however old; pulled now if none serves the plan.

    So a job starts at once, and while the warehouse is down.  What is due is pulled beside it.

    Raises:
        WarehouseError: a parent model cannot be pulled.
    """
    return {
        parent: serving_snapshot(loaded.root, plan) or _pulled(loaded, plan, now)
        for parent, plan in loaded.project.plans.items()
    }


def lacking(loaded: LoadedProject) -> list[str]:
    """The parent models that have to be pulled before a job can begin with these definitions."""
    plans = loaded.project.plans
    return [parent for parent, plan in plans.items() if not serving_snapshot(loaded.root, plan)]


def serving_snapshot(root: Path, plan: ParentPlan) -> WarehouseSnapshot | None:
    """The snapshot in force, if the plan can be evaluated with it."""
    try:
        known = current(root, plan.parent_model.key)
    except WarehouseError:
        return None  # damaged: it is only a copy
    return known if known is not None and known.serves(plan) else None


def open_sources(
    loaded: LoadedProject, share: Share, started: int, past: Gate
) -> dict[str, OpenSource]:
    """The sources that a share reads, by key.

    Topics and collectors' logs have a past, what arrived before the job started.  Nobody reads on
    in one before the gate is open.

    Raises:
        JobRefused: the project asks for what this release cannot run.
        SourceError: a source cannot be followed.
    """
    project = loaded.project
    portion = Portion(share.has, lambda: past.is_open)
    sources: dict[str, OpenSource] = {}
    for source in sources_of(project.sources, share):
        match source.type:
            case "file":
                opened = _file_source(loaded, source)
            case "kafka":
                topic = KafkaSource(source, _group(loaded, source), tell, started)
                opened = partial(topic.follow, portion=portion)
            case _:
                log = CollectedSource(log_folder(loaded.root, source.key), source.key, started)
                opened = partial(log.follow, portion=portion)
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


def _pulled(loaded: LoadedProject, plan: ParentPlan, now: int) -> WarehouseSnapshot:
    key = plan.parent_model.key
    _await_pull(loaded, key)
    if (pulled := serving_snapshot(loaded.root, plan)) is not None:
        return pulled
    refresh(loaded.root, loaded.project.warehouse, plan, now, Request(Trigger.START))
    pulled = serving_snapshot(loaded.root, plan)
    if pulled is None:
        raise WarehouseError(f"parent model {key}: the pull was undone meanwhile; start once more")
    return pulled


def _standard_input(_positions: Sequence[bytes]) -> FollowedInput:
    return _the_input()


def _await_pull(loaded: LoadedProject, parent_model: str) -> None:
    """Return when no other process pulls it: what that brings may be all that is needed."""
    versions = Versions(default_store(loaded.root), parent_model)
    if versions.is_locked:
        tell(f"waiting for the pull of {parent_model} that is under way")
    while versions.is_locked:
        time.sleep(_PAUSE)


@cache
def _the_input() -> FollowedInput:
    """One for the process: a job that follows another goes on in the middle of a line."""
    return FollowedInput()
