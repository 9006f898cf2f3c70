"""Where the destinations of a project's syncs are, and what each of them wants of the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from audience_dsl.definitions import Project, Sync
from audience_dsl.instants import format_instant
from connectors.destinations.file import FileDestination
from connectors.destinations.kafka import KafkaDestination
from dataflows.following import wall_clock
from dataflows.preparation import JobRefused, tell
from engine.records import TransitionRecord
from membership.facts import JournalEntry
from project.folder import LoadedProject

_DATE = len("2026-03-01")


class Destination(Protocol):
    """Where records go.  No call waits long, so that whoever makes it can be told to stop.

    All but `close` raise `OSError` if records cannot be written there at all.
    """

    def write(self, records: Sequence[TransitionRecord]) -> int:
        """Take so many of the records, the first ones; fewer than all if there is no room now."""

    def settle(self) -> bool:
        """Whether all that was taken is safe there; waits a moment for it."""

    def close(self) -> None:
        """Let go; what is not safe is given up."""


class Printed:
    """Whoever looks at the job: lines, some at a time."""

    def __init__(
        self, line: Callable[[TransitionRecord], str], show: Callable[[Sequence[str]], None]
    ) -> None:
        self._line = line
        self._show = show

    def write(self, records: Sequence[TransitionRecord]) -> int:
        self._show([self._line(record) for record in records])
        return len(records)

    def settle(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held."""


class RecordFile:
    """A file destination: records as JSON lines, in the file of the day on which they are written.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._file = FileDestination(path)
        self._encode = msgspec.json.Encoder().encode_lines
        self._file.open(today())

    def write(self, records: Sequence[TransitionRecord]) -> int:
        self._file.write(self._encode(records), today())
        return len(records)

    def settle(self) -> bool:
        self._file.settle()
        return True

    def close(self) -> None:
        self._file.close()


class Selection:
    """What some syncs want of the journal, each behind the position where it begins."""

    def __init__(self, begins: Iterable[tuple[Sync, int]]) -> None:
        self._begins = [(sync.audience, set(sync.on), begin) for sync, begin in begins]

    def __call__(self, entries: Sequence[JournalEntry]) -> list[TransitionRecord]:
        """In the order of the journal, so that a user's order holds across syncs."""
        return [
            record
            for position, record, _ in entries
            for audience, kinds, begin in self._begins
            if record.audience == audience and record.type in kinds and position > begin
        ]


def open_destinations(loaded: LoadedProject) -> dict[str, Destination]:
    """The destinations that syncs deliver to, by key.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
        OSError: a destination cannot be written.
    """
    _check(loaded.project)
    opened: dict[str, Destination] = {}
    try:
        for key in sorted({sync.destination for sync in loaded.project.syncs.values()}):
            opened[key] = _opened(loaded, key)
    except BaseException:
        for destination in opened.values():
            destination.close()
        raise
    return opened


def today() -> str:
    """The UTC date, like `2026-03-01`."""
    return format_instant(wall_clock())[:_DATE]


def _opened(loaded: LoadedProject, key: str) -> Destination:
    settings = loaded.project.destinations[key]
    if settings.type == "kafka":
        return KafkaDestination(settings, tell)
    return RecordFile(str(loaded.root / str(settings.options["path"])))


def _check(project: Project) -> None:
    for sync in project.syncs.values():
        destination = project.destinations[sync.destination]
        if destination.type not in {"file", "kafka"}:
            raise JobRefused(
                f"sync '{sync.key}' delivers to '{destination.key}' of type {destination.type}, "
                "which this release does not deliver to yet; use a destination of type: file or "
                "type: kafka"
            )
        if sync.mapping is not None:
            raise JobRefused(
                f"sync '{sync.key}' has a mapping, which this release does not apply yet; without "
                "it the transition record is delivered"
            )
