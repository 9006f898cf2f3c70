"""What the destinations of syncs are given: the journal's transitions, each from its own cursor.

Destinations never see what the core proposes, only what the journal has accepted.  A sync remembers
the position up to which everything is safe with its destination.  What a crash interrupts is
delivered again from there, with the ids that it had.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from membership.reader import MembershipReader
from membership.store import MembershipStore
from project.folder import LoadedProject

_DATE = len("2026-03-01")


class Destination(Protocol):
    """Where records go; `settle` returns when all that was written is safe there."""

    def write(self, records: Sequence[TransitionRecord]) -> None: ...

    def settle(self) -> None: ...

    def close(self) -> None: ...


class Deliveries:
    """Delivers to the destinations of a project's syncs.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
        OSError: a destination cannot be written.
    """

    def __init__(self, loaded: LoadedProject) -> None:
        self._syncs = _syncs(loaded.project)
        self._destinations = {
            key: _destination(loaded, key)
            for key in sorted({sync.destination for sync in self._syncs})
        }
        self._store: MembershipStore | None = None
        self._positions: dict[str, int] = {}
        self._settled: dict[str, int] = {}

    def begin(self, store: MembershipStore, reader: MembershipReader) -> None:
        """Deliver what the journal holds and no destination has been given yet.

        Raises:
            StoreError: the journal cannot be read, or has been pruned.
        """
        self._store = store
        self._positions = {sync.key: store.cursors.open(_cursor(sync)) for sync in self._syncs}
        self._settled = dict(self._positions)
        position = min(self._positions.values(), default=None)
        while position is not None:
            page = reader.transitions(position)
            if page.position == position:
                break
            self.deliver(page.entries)
            position = page.position

    def deliver(self, entries: Sequence[JournalEntry]) -> None:
        """Write entries that follow those before; a user's order holds across syncs.

        Raises:
            OSError: a destination cannot be written.
        """
        if not entries:
            return
        records: dict[str, list[TransitionRecord]] = {}
        for position, record in entries:
            for sync in self._syncs:
                if (
                    record.audience == sync.audience
                    and record.type in sync.on
                    and position > self._positions[sync.key]
                ):
                    records.setdefault(sync.destination, []).append(record)
        for destination, wanted in records.items():
            self._destinations[destination].write(wanted)
        end = entries[-1].position
        self._positions = {key: max(end, known) for key, known in self._positions.items()}

    def settle(self) -> None:
        """Return when what was delivered is safe, and remembered as such.

        Raises:
            OSError: a destination cannot be written.
            StoreError: the store cannot be.
        """
        if self._store is None or self._settled == self._positions:
            return
        for destination in self._destinations.values():
            destination.settle()
        for sync in self._syncs:
            self._store.cursors.advance(_cursor(sync), self._positions[sync.key])
        self._settled = dict(self._positions)

    def close(self) -> None:
        """Let go of the destinations.

        Raises:
            OSError: one of them cannot be written.
        """
        for destination in self._destinations.values():
            destination.close()


class RecordFile:
    """A file destination: records as JSON lines, in the file of the day on which they are written.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._file = FileDestination(path)
        self._encode = msgspec.json.Encoder().encode_lines
        self._file.open(today())

    def write(self, records: Sequence[TransitionRecord]) -> None:
        self._file.write(self._encode(records), today())

    def settle(self) -> None:
        self._file.settle()

    def close(self) -> None:
        self._file.close()


def today() -> str:
    """The UTC date, like `2026-03-01`."""
    return format_instant(wall_clock())[:_DATE]


def _destination(loaded: LoadedProject, key: str) -> Destination:
    settings = loaded.project.destinations[key]
    if settings.type == "kafka":
        return KafkaDestination(settings, tell)
    return RecordFile(str(loaded.root / str(settings.options["path"])))


def _cursor(sync: Sync) -> str:
    return f"sync/{sync.key}"


def _syncs(project: Project) -> list[Sync]:
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
    return list(project.syncs.values())
