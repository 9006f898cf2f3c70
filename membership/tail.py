"""The journal's newest part, for those who follow it.

What this process records is handed over as it is; what others record is read, once, whoever asks.
Held is the last batch that was recorded, and what is not far behind it or the foremost follower.  A
follower who is further behind reads for itself: memory stays small, and nobody waits for it.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable

from membership.facts import JournalEntry, Recorded
from membership.reader import PAGE, MembershipReader

# So many transitions, some 10 MB, are not far: a follower may pause for a second or two.
_KEPT = 16_000


class JournalTail:
    """Its methods may be called from any thread.

    `end` is the last position that the tail has heard of.
    """

    def __init__(self, reader: MembershipReader) -> None:
        self.end = reader.end()
        self._reader = reader
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._pages: list[_Page] = []  # without gaps
        self._listeners: list[Callable[[], None]] = []

    def announce(self, recorded: Recorded) -> None:
        """Take what was just recorded."""
        self._add([_Page(part) for part in recorded.parts(PAGE)])
        self._reach(recorded.last)

    def look(self) -> int:
        """Find out how far the journal has come, whoever writes to it; return that position.

        Raises:
            StoreError: the journal cannot be read.
        """
        end = self._reader.end()
        self._reach(end)
        return end

    def listen(self, heard: Callable[[], None]) -> None:
        """Call this whenever the journal goes on, in the thread that says so; it is to be quick."""
        self._listeners.append(heard)

    def rouse(self) -> None:
        """Let all who wait ask anew what they wait for."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, after: int, unless: Callable[[], bool], seconds: float) -> None:
        """Return when the journal goes on after a position; at once if `unless` is so."""
        with self._changed:
            self._changed.wait_for(lambda: self.end > after or unless(), seconds)

    def after(self, position: int) -> list[JournalEntry]:
        """The next transitions after a position; none if it is the journal's end.

        Raises:
            PositionPruned: they are no longer kept.
            StoreError: the journal cannot be read.
        """
        with self._reading:
            page = self._page_with(position + 1)
            if page is not None:
                return page.entries()[position + 1 - page.first :]
            found = self._reader.transitions(position).entries
            if found:
                self._add([_Page(found)])
            return found

    def _reach(self, end: int) -> None:
        with self._changed:
            if end <= self.end:
                return
            self.end = end
            self._changed.notify_all()
        for heard in self._listeners:
            heard()

    def _add(self, pages: list[_Page]) -> None:
        with self._changed:
            if self._pages and pages[0].first <= self._pages[-1].last:
                return
            if self._pages and pages[0].first > self._pages[-1].last + 1:
                self._pages.clear()
            self._forget(pages[0].first - _KEPT)
            self._pages += pages

    def _forget(self, position: int) -> None:
        """Let go of the pages before a position."""
        kept = bisect_left(self._pages, position, key=lambda page: page.last)
        del self._pages[:kept]

    def _page_with(self, position: int) -> _Page | None:
        with self._changed:
            if not self._pages or position < self._pages[0].first:
                return None
            self._forget(position - _KEPT)
            at = bisect_left(self._pages, position, key=lambda page: page.last)
            return self._pages[at] if at < len(self._pages) else None


class _Page:
    """Transitions from the position `first` to `last`; entries are made when one is asked for."""

    def __init__(self, content: Recorded | list[JournalEntry]) -> None:
        self.first = content.first if isinstance(content, Recorded) else content[0].position
        self.last = self.first + len(content) - 1
        self._content = content

    def entries(self) -> list[JournalEntry]:
        if isinstance(self._content, Recorded):
            self._content = self._content.journal_entries()
        return self._content
