"""The outbox: the journal's transitions on their way to whoever waits for them.

Nobody is told what the core proposes, only what the journal has accepted.  Whoever records into it
goes on at once; here, threads read what follows, print it and bring it to the destinations of
syncs.  A sync has a cursor in the store: the position up to which everything is safe with its
destination.  What a crash interrupts is delivered again from there, with the ids that it had.

Where the job is more than one process, one of them has the outbox.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from audience_dsl.definitions import Sync
from dataflows.destinations import Printed, Selection, open_destinations
from dataflows.lanes import Lane
from dataflows.lines import json_line, text_line
from dataflows.preparation import tell
from dataflows.pruning import Pruning, forget_removed
from engine.records import TransitionRecord
from membership.errors import StoreError, StoreUnavailable
from membership.facts import JournalEntry, Recorded
from membership.reader import MembershipReader
from membership.store import MembershipStore
from membership.tail import JournalTail
from project.folder import LoadedProject
from project.stores import open_reader, retention_of

# Seconds between two looks at the journal, for what nobody has announced.
_LOOK = 0.03

# Seconds between two times at which cursors are stored.
_REMEMBERED_EVERY = 1.0

# Seconds that a lane may take to notice that it has been ended.
_NOTICED = 1.0

_CURSOR = "sync/"


class Outbox:
    """Prints and delivers, from `begin` until `close`; `show` is given lines, some at a time.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
        OSError: a destination cannot be written.
    """

    def __init__(
        self,
        loaded: LoadedProject,
        show: Callable[[Sequence[str]], None],
        *,
        json: bool = False,
    ) -> None:
        self._loaded = loaded
        self._printed = Printed(json_line if json else text_line, show)
        self._destinations = open_destinations(loaded)
        self._store: MembershipStore | None = None
        self._reader: MembershipReader | None = None
        self._tail: JournalTail | None = None
        self._lanes: list[Lane] = []
        self._cursors: dict[str, Lane] = {}
        self._stored: dict[str, int] = {}
        self._failed: Callable[[], None] = lambda: None
        self._pruning: Pruning | None = None
        self._moved = threading.Event()
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="usher-outbox", daemon=True)
        self.failure: Exception | None = None

    def begin(self, store: MembershipStore, failed: Callable[[], None]) -> None:
        """Print what is recorded from now on, and deliver what follows the cursors.

        Args:
            store: For the cursors; the caller closes it after the outbox.
            failed: Called once, from some thread, if something cannot be delivered at all; `drain`
                says what.

        Raises:
            StoreError: the store cannot be read or written.
        """
        self._store, self._failed = store, failed
        self._reader = open_reader(self._loaded)
        syncs = list(self._loaded.project.syncs.values())
        forget_removed(store, _CURSOR, self._loaded.project.syncs, tell)
        self._stored = store.cursors.open([_cursor(sync) for sync in syncs])
        self._tail = JournalTail(self._reader)
        end = self._tail.end
        self._lanes = [Lane("output", self._printed, _records, self._tail, end, self._note)]
        for key, destination in self._destinations.items():
            begins = [
                (sync, self._stored[_cursor(sync)]) for sync in syncs if sync.destination == key
            ]
            lane = Lane(
                f"destination '{key}'",
                destination,
                Selection(begins),
                self._tail,
                min(begin for _, begin in begins),
                self._note,
            )
            self._cursors |= {_cursor(sync): lane for sync, _ in begins}
            self._lanes.append(lane)
        for one in self._lanes:
            one.start()
        self._keeper.start()
        self._pruning = Pruning(store, retention_of(self._loaded), tell)

    def wake(self, recorded: Recorded) -> None:
        """There is something to do; nobody has to say so, but it saves time."""
        if self._tail is not None:
            self._tail.announce(recorded)

    def drain(self, patience: float) -> None:
        """Return when all that the journal has now is printed, delivered and remembered as such.

        What a destination that is out of reach lacks stays in the journal, for the next outbox.

        Args:
            patience: For so many seconds without any progress it waits.

        Raises:
            OSError: something cannot be delivered at all.
            StoreError: the store cannot be read or written.
        """
        if self._tail is None:
            return
        end = self._tail.look()
        for lane in self._lanes:
            lane.hurry()
        self._await(end, patience)
        self._remember()
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Let go of everything; what is not delivered stays so."""
        self._closing.set()
        for lane in self._lanes:
            lane.end()
        for lane in self._lanes:
            lane.join(_NOTICED)
        if not self._lanes:
            for destination in self._destinations.values():
                destination.close()
        if self._keeper.ident is not None:
            self._keeper.join()
        if self._pruning is not None:
            self._pruning.close()
        if self._reader is not None:
            self._reader.close()

    def _await(self, end: int, patience: float) -> None:
        seen: list[tuple[int, int]] = []
        deadline = 0.0
        while late := [one for one in self._lanes if one.settled < end and not one.failure]:
            progress = [lane.progress for lane in self._lanes]
            if progress != seen:
                seen, deadline = progress, time.monotonic() + patience
            elif time.monotonic() > deadline:
                for lane in late:
                    tell(
                        f"{lane.name}: what follows position {lane.settled} of the journal is not "
                        "delivered yet"
                    )
                return
            self._moved.wait(_LOOK)
            self._moved.clear()

    def _keep(self) -> None:
        """Look at the journal and store cursors, until the outbox is closed."""
        assert self._tail is not None
        due = 0.0
        try:
            while not self._closing.wait(_LOOK):
                self._tail.look()
                if time.monotonic() >= due:
                    due = time.monotonic() + _REMEMBERED_EVERY
                    self._remember_soon()
        except StoreError as error:
            self._fail(error)

    def _remember_soon(self) -> None:
        try:
            self._remember()
        except StoreUnavailable:
            """Others write to the store all the time, or whoever records will say what is wrong."""

    def _remember(self) -> None:
        assert self._store is not None
        settled = {name: lane.settled for name, lane in self._cursors.items()}
        moved = {name: at for name, at in settled.items() if at > self._stored[name]}
        if moved:
            self._store.cursors.advance(moved)
            self._stored |= moved

    def _note(self) -> None:
        """A lane has got on, or failed."""
        self._moved.set()
        for lane in self._lanes:
            if lane.failure is not None:
                self._fail(lane.failure)

    def _fail(self, error: Exception) -> None:
        if self.failure is None and not self._closing.is_set():
            self.failure = error
            self._failed()


def _records(entries: Sequence[JournalEntry]) -> list[TransitionRecord]:
    return [entry.record for entry in entries]


def _cursor(sync: Sync) -> str:
    return f"{_CURSOR}{sync.key}"
