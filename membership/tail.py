"""The journal's newest part, for those who follow it.

What this process records is handed over as it is; what others record is read, once, whoever asks.
Held is what came in the last few seconds.  A follower who is further behind reads for itself:
memory stays small, and nobody waits for it.

Followers have the interpreter in common with whoever records.  One who is a page behind has enough
to do to keep it busy, so it gives way for a moment where somebody else must be quick.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from operator import attrgetter

from membership.facts import JournalEntry, JournalPage, Recorded
from membership.reader import PAGE, MembershipReader

# Seconds for which transitions are held, and how many at most behind the newest: some 40 MB.
_HELD_FOR = 5.0
_HELD = 64_000

# Seconds for which a follower gives way at most.
_GIVES_WAY = 1.0


class JournalTail:
    """Its methods may be called from any thread.

    `end` is the last position that the tail has heard of.
    """

    def __init__(self, reader: MembershipReader) -> None:
        self.end = reader.end()
        self._reader = reader
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._free = threading.Event()
        self._free.set()
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

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """As long as this lasts, nobody is given a full page; for one user of it at a time.

        Who follows closely notices nothing.
        """
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def after(self, position: int, audience: str | None = None) -> JournalPage:
        """The next transitions after a position, of one audience or of all.

        A page without entries, and with the same position, is the journal's end.

        Raises:
            PositionPruned: they are no longer kept.
            StoreError: the journal cannot be read.
        """
        page = self._page(position, audience)
        if len(page.entries) >= PAGE:
            self._free.wait(_GIVES_WAY)
        return page

    def _page(self, position: int, audience: str | None) -> JournalPage:
        with self._reading:
            pages = self._pages_from(position + 1)
            if not pages and (found := self._reader.transitions(position).entries):
                pages = [_Page(found)]
                self._add(pages)
            entries: list[JournalEntry] = []
            for page in pages:
                entries += page.entries(position, audience)
                position = page.last
                if len(entries) >= PAGE:
                    break
            return JournalPage(entries, position)

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
            held = self._pages
            if held and pages[0].first <= held[-1].last:
                return
            if held and pages[0].first > held[-1].last + 1:
                held.clear()
            since = time.monotonic() - _HELD_FOR
            kept = bisect_left(held, pages[0].first - _HELD, key=_LAST)
            while kept < len(held) and held[kept].came_at < since:
                kept += 1
            self._pages = held[kept:] + pages

    def _pages_from(self, position: int) -> list[_Page]:
        with self._changed:
            if not self._pages or position < self._pages[0].first:
                return []
            return self._pages[bisect_left(self._pages, position, key=_LAST) :]


class _Page:
    """Transitions from the position `first` to `last`; entries are made when one is asked for."""

    def __init__(self, content: Recorded | list[JournalEntry]) -> None:
        self.came_at = time.monotonic()
        self.first = content.first if isinstance(content, Recorded) else content[0].position
        self.last = self.first + len(content) - 1
        self._content = content
        self._of: dict[str, list[JournalEntry]] = {}

    def entries(self, after: int, audience: str | None) -> list[JournalEntry]:
        """Those behind a position, of one audience or of all."""
        if isinstance(self._content, list):
            found = self._content
            if audience is not None:
                found = [one for one in found if one.record.audience == audience]
        elif audience is not None:
            found = self._made(self._content, audience)
        else:
            audiences = {name.audience for name in self._content.names}
            made = (self._made(self._content, one) for one in audiences)
            found = sorted(chain.from_iterable(made), key=_POSITION)
        return found[bisect_left(found, after + 1, key=_POSITION) :]

    def _made(self, recorded: Recorded, audience: str) -> list[JournalEntry]:
        if audience not in self._of:
            chosen = [i for i, name in enumerate(recorded.names) if name.audience == audience]
            self._of[audience] = recorded.journal_entries(chosen)
        return self._of[audience]


_POSITION = attrgetter("position")
_LAST = attrgetter("last")
