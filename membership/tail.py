"""The journal's newest part, for those who follow it: read once, whoever asks.

Followers who keep up are given what one of them has read.  One who is far behind reads for itself,
so that memory stays small and nobody waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from membership.facts import JournalEntry
from membership.reader import MembershipReader

# Transitions, some 10 MB: a follower may pause for a second or two.
_KEPT = 16_000


class JournalTail:
    """Its methods may be called from any thread.

    `end` is the last position that the tail has heard of.
    """

    def __init__(self, reader: MembershipReader, end: int) -> None:
        self.end = end
        self._reader = reader
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._entries: list[JournalEntry] = []
        self._read = end  # the last of the entries

    def announce(self, end: int) -> None:
        """The journal has come to this position, or further."""
        with self._changed:
            if end > self.end:
                self.end = end
                self._changed.notify_all()

    def rouse(self) -> None:
        """Let all who wait ask anew what they wait for."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, after: int, unless: Callable[[], bool], seconds: float) -> None:
        """Return when the journal goes on after a position, at once `unless` that is no matter."""
        with self._changed:
            self._changed.wait_for(lambda: self.end > after or unless(), seconds)

    def after(self, position: int) -> list[JournalEntry]:
        """The next transitions after a position; none if it is the journal's end.

        Raises:
            PositionPruned: they are no longer kept.
            StoreError: the journal cannot be read.
        """
        with self._reading:
            if position == self._read:
                found = self._reader.transitions(position).entries
                self._entries = (self._entries + found)[-_KEPT:]
                self._read += len(found)
                return found
            behind = self._read - position
            if 0 < behind <= len(self._entries):
                return self._entries[-behind:]
        return self._reader.transitions(position).entries
