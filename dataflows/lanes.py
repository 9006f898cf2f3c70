"""A lane: one destination, and the thread that brings it what the journal has for it.

Each destination has a lane of its own, so that one which is out of reach holds up nobody else.  A
lane holds a page of the journal and what the destination has taken; all else waits in the journal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from dataflows.destinations import Destination
from engine.records import TransitionRecord
from membership.errors import StoreError
from membership.facts import JournalEntry
from membership.tail import JournalTail

# Seconds between two times at which a destination is asked to make safe what it was given.
_SETTLED_EVERY = 1.0

Select = Callable[[Sequence[JournalEntry]], list[TransitionRecord]]


class Lane:
    """Delivers what follows a position, in the order of the journal, until it is ended.

    Everything up to `settled` is safe with the destination, or not for it.  `failure` is why the
    lane has ended by itself, if it has.

    Args:
        name: As in `destination 'archive'`.
        select: What of the journal is for the destination.
        moved: Told whenever something has become safe, and when the lane has failed.
    """

    def __init__(
        self,
        name: str,
        destination: Destination,
        select: Select,
        tail: JournalTail,
        position: int,
        moved: Callable[[], None],
    ) -> None:
        self.name = name
        self.settled = position
        self.failure: OSError | StoreError | None = None
        self._destination = destination
        self._select = select
        self._tail = tail
        self._moved = moved
        self._position = position  # up to which the destination was given everything
        self._written = 0
        self._unsettled = False
        self._due = 0.0  # when to settle
        self._hurried = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"usher-{name}", daemon=True)

    @property
    def progress(self) -> tuple[int, int]:
        """It changes while the lane gets on."""
        return self._written, self.settled

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Settle as soon as there is nothing more to deliver."""
        self._hurried = True
        self._tail.rouse()

    def end(self) -> None:
        """Stop; what is not safe yet stays undelivered."""
        self._ended = True
        self._tail.rouse()

    def join(self, seconds: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            with closing(self._destination):
                while not self._ended:
                    self._step()
        except (OSError, StoreError) as error:
            self.failure = error
            self._moved()

    def _step(self) -> None:
        entries = self._tail.after(self._position) if self._tail.end > self._position else []
        if entries:
            self._write(self._select(entries))
            self._position = entries[-1].position
        if self._is_due():
            self._settle()
        elif not entries:
            seconds = _SETTLED_EVERY if not self._unsettled else self._due - time.monotonic()
            self._tail.wait(self._position, self._is_wanted, seconds)

    def _write(self, records: Sequence[TransitionRecord]) -> None:
        while records and not self._ended:
            taken = self._destination.write(records)
            self._written += taken
            if not self._unsettled:
                self._unsettled = True
                self._due = time.monotonic() + _SETTLED_EVERY
            records = records[taken:]
            if records:
                self._destination.settle()  # which makes room

    def _is_due(self) -> bool:
        if self.settled == self._position or self._ended:
            return False
        return not self._unsettled or self._hurried or time.monotonic() >= self._due

    def _is_wanted(self) -> bool:
        return self._ended or self._is_due()

    def _settle(self) -> None:
        if self._unsettled and not self._destination.settle():
            return
        self._unsettled = False
        self.settled = self._position
        self._moved()
