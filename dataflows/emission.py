"""What a running job puts out: a line a transition for people or programs, and file destinations.

A sync whose destination is a file receives the transitions of its audience.  Other destinations
are refused before the job starts, so that nobody waits for deliveries that never come.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from audience_dsl.definitions import Project, Sync
from audience_dsl.instants import format_instant
from connectors.destinations.file import FileDestination
from connectors.sources.chunks import DeadLetter
from connectors.sources.reader import Batch
from dataflows.following import wall_clock
from dataflows.lines import json_line, text_line
from dataflows.ownership import usher_folder
from dataflows.preparation import JobRefused
from dataflows.steps import GroupTransitions
from dataflows.summary import RecordCounts
from engine.records import transition_records
from project.folder import LoadedProject

_DATE = len("2026-03-01")


class Emission:
    """The outputs of a job; `show` is given one line a transition.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
        OSError: a file destination cannot be written.
    """

    def __init__(
        self, loaded: LoadedProject, show: Callable[[str], None], *, json: bool = False
    ) -> None:
        self._project = loaded.project
        self._show = show
        self._line = json_line if json else text_line
        self._files = {
            key: FileDestination(str(loaded.root / str(destination.options["path"])))
            for key, destination in loaded.project.destinations.items()
            if destination.type == "file"
        }
        self._syncs = _file_syncs(loaded.project)
        self._dead_letters = FileDestination(str(usher_folder(loaded.root) / "dead-letters.jsonl"))
        self.counts = RecordCounts()
        self.failure: Exception | None = None
        today = _date(wall_clock())
        for key in {sync.destination for sync in self._syncs}:
            self._files[key].open(today)

    def take(self, found: GroupTransitions) -> None:
        now = wall_clock()
        date = _date(now)
        plan = self._project.plans[found.parent_model].plan
        records = transition_records(plan, found.transitions, found.pull, now)
        for sync in self._syncs:
            self._files[sync.destination].write(
                [one for one in records if one.audience == sync.audience and one.type in sync.on],
                date,
            )
        for record in records:
            self._show(self._line(record))

    def bury(self, letter: DeadLetter) -> None:
        now = wall_clock()
        record = {
            "received_at": format_instant(now),
            "file": letter.file,
            "line": letter.line,
            "reason": letter.reason,
            "excerpt": letter.excerpt,
        }
        self._dead_letters.write([record], _date(now))

    def count(self, batch: Batch) -> None:
        self.counts.read += batch.received
        self.counts.ignored += batch.ignored
        self.counts.invalid += len(batch.dead_letters)

    def failed(self, error: Exception) -> None:
        """Say that the job is about to stop, and why."""
        self.failure = error
        sys.stderr.write(f"usher: {error}; the job stops\n")

    def settle(self) -> None:
        for file in (*self._files.values(), self._dead_letters):
            file.settle()

    def close(self) -> None:
        for file in (*self._files.values(), self._dead_letters):
            file.close()


def _file_syncs(project: Project) -> list[Sync]:
    for sync in project.syncs.values():
        destination = project.destinations[sync.destination]
        if destination.type != "file":
            raise JobRefused(
                f"sync '{sync.key}' delivers to '{destination.key}' of type {destination.type}, "
                "which this release does not deliver to yet; use a destination of type: file"
            )
        if sync.mapping is not None:
            raise JobRefused(
                f"sync '{sync.key}' has a mapping, which this release does not apply yet; without "
                "it the transition record is delivered"
            )
    return list(project.syncs.values())


def _date(instant: int) -> str:
    return format_instant(instant)[:_DATE]
