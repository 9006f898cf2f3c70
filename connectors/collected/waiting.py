"""What waits to be written, and who waits for it.

Whoever appends waits in a thread or on an event loop.  A commit settles many of them: those of one
loop are told together, because to wake a loop costs more than to tell a future.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import NamedTuple

from connectors.collected.errors import NotTaken, Overfull
from connectors.collected.limits import Capacity
from connectors.collected.records import Lines

_Waiter = Future[None] | asyncio.Future[None]

# Seconds after which a sender may try again.  What waits is written much sooner.
_RETRY_AFTER = 1


class Entry(NamedTuple):
    """The records of one request, and who is told when they are durable."""

    lines: Lines
    size: int
    waiter: _Waiter


class Queue:
    """Entries in the order in which they have come; it holds so many events and bytes."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.events = 0
        self.size = 0

    def put(self, lines: Lines, waiter: _Waiter) -> None:
        """Let lines wait for the next commit.

        Raises:
            Overfull: too much waits already.
            NotTaken: there is no next commit.
        """
        size = sum(len(line) for _, line in lines)
        with self._changed:
            if self._closed:
                raise NotTaken("the collector is stopping")
            is_too_much = (
                self.events + len(lines) > self._capacity.events
                or self.size + size > self._capacity.size
            )
            if is_too_much:
                raise Overfull(_RETRY_AFTER)
            self._entries.append(Entry(lines, size, waiter))
            self.events += len(lines)
            self.size += size
            self._changed.notify()

    def take(self, size: int, patience: float) -> list[Entry]:
        """What waits, up to some size and one more; waits for it for some seconds."""
        with self._changed:
            if not self._entries and not self._closed:
                self._changed.wait(patience)
            taken: list[Entry] = []
            while self._entries and size > 0:
                taken.append(self._entries.popleft())
                size -= taken[-1].size
            return taken

    def settled(self, entries: Iterable[Entry]) -> None:
        """There is room again for as much as those had."""
        with self._changed:
            for one in entries:
                self.events -= len(one.lines)
                self.size -= one.size

    def close(self) -> None:
        """Take no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def is_done(self) -> bool:
        """Whether nothing waits, and nothing will."""
        with self._changed:
            return self._closed and not self._entries


def settle(entries: Iterable[Entry], error: NotTaken | None) -> None:
    """Tell all who wait that what they brought is durable, or why it is not."""
    on_loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for one in entries:
        if isinstance(one.waiter, asyncio.Future):
            on_loops.setdefault(one.waiter.get_loop(), []).append(one.waiter)
        elif error is None:
            one.waiter.set_result(None)
        else:
            one.waiter.set_exception(error)
    for loop, waiters in on_loops.items():
        with suppress(RuntimeError):  # the loop has ended, and with it who waited
            loop.call_soon_threadsafe(_tell, waiters, error)


def _tell(waiters: Iterable[asyncio.Future[None]], error: NotTaken | None) -> None:
    for one in waiters:
        if one.done():
            continue  # the client has gone
        if error is None:
            one.set_result(None)
        else:
            one.set_exception(error)
