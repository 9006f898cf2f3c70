"""The log as its writer has it: what is acknowledged is on disk.

One thread writes.  It takes whatever waits, writes it as one frame, waits for the disk, and tells
all who wait; meanwhile the next gather.  So an event that comes alone is written at once, and many
that come together share what the disk takes for one.

What cannot be written is refused, with the reason, and cut off again: the next is written where it
would have been.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple

from connectors.collected.errors import LogDamaged, NotTaken
from connectors.collected.folder import writer_lock
from connectors.collected.frames import encode_frame
from connectors.collected.limits import Capacity, Retention, Sizes
from connectors.collected.marks import Durable, DurableMark
from connectors.collected.opening import open_log
from connectors.collected.records import Event, Letter, Records, records_of
from connectors.collected.removing import remove_outdated
from connectors.collected.segments import HEAD_SIZE, Head, create_segment, find_segments, write_all
from connectors.collected.waiting import Entry, Queue, settle
from connectors.wall_clock import wall_clock

# Seconds between two looks for what need not be kept any longer.
_TIDY_EVERY = 10.0


class Figures(NamedTuple):
    """Records that were ever acknowledged, events that wait, and bytes on disk."""

    records: int
    waiting: int
    size: int


class CollectedLog:
    """The log of one source, to be closed; its methods may be called from any thread.

    Args:
        folder: Where it lies; made if there is none.
        form: The name of the format that events have.
        clock: Tells arrivals, in microseconds since 1970 UTC; they never fall.

    Raises:
        LogInUse: another process writes to it.
        LogDamaged: something that was acknowledged is damaged or missing.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        form: str,
        *,
        retention: Retention = Retention(),  # noqa: B008  it is immutable
        capacity: Capacity = Capacity(),  # noqa: B008
        sizes: Sizes = Sizes(),  # noqa: B008
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self._folder = folder
        self._form = form
        self._retention = retention
        self._sizes = sizes
        self._clock = clock
        self._queue = Queue(capacity)
        with ExitStack() as held:
            held.enter_context(writer_lock(folder))
            self._manifest, end = open_log(folder)
            self._mark = held.enter_context(closing(DurableMark(folder)))
            self._end, self._number, self._latest = end.end, end.number, end.latest
            self._base, self._begun_at = end.end, end.begun_at
            self._descriptor: int | None = None
            if end.segment is not None:
                self._base = end.segment.base
                self._descriptor = os.open(end.segment.path, os.O_RDWR | os.O_CLOEXEC)
            self._is_torn = False
            self._tidied = 0.0
            self._held = held.pop_all()
        self._thread = threading.Thread(target=self._run, name="usher-collected", daemon=True)
        self._thread.start()

    def records_of(self, events: Sequence[Event], letters: Sequence[Letter] = ()) -> Records:
        """Events, and what could not be read, as the log would have them."""
        return records_of(events, letters, self._form, self._manifest.partitions)

    async def keep(self, records: Records) -> None:
        """Return when records of this log are on disk.

        Raises:
            Overfull: at once, if too much waits already.
            NotTaken: they are not on disk, for the reason that it says; all or none are.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(records, waiter)
        await waiter

    def append(self, events: Sequence[Event], letters: Sequence[Letter] = ()) -> Future[None]:
        """The same of events for threads: the future is done when all are on disk.

        Raises:
            Overfull: too much waits already.
            NotTaken: the log has been closed.
        """
        waiter: Future[None] = Future()
        waiter.set_running_or_notify_cancel()  # it cannot be taken back
        self._put(self.records_of(events, letters), waiter)
        return waiter

    def retain(self, retention: Retention) -> None:
        """Keep so much from now on."""
        self._retention = retention

    def figures(self) -> Figures:
        """What there is at this moment.

        Raises:
            OSError: the folder cannot be read.
        """
        size = sum(one.end - one.base for one in find_segments(self._folder))
        return Figures(self._number, self._queue.events, size)

    def close(self) -> None:
        """Write what waits, then let go."""
        self._queue.close()
        self._thread.join()
        self._held.close()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _put(self, records: Records, waiter: Future[None] | asyncio.Future[None]) -> None:
        if records.lines:
            self._queue.put(records.lines, waiter)
        else:
            waiter.set_result(None)

    def _run(self) -> None:
        entries: list[Entry] = []
        try:
            while not self._queue.is_done:
                entries = self._queue.take(self._sizes.commit, _TIDY_EVERY)
                if entries:
                    error = self._committed(entries)
                    self._queue.settled(entries)
                    settle(entries, error)
                    entries = []
                if time.monotonic() - self._tidied >= _TIDY_EVERY:
                    self._tidy()
            with suppress(OSError):
                self._mark.keep()
        finally:  # whatever has happened, nobody waits for ever
            self._queue.close()
            settle(entries + self._queue.take(sys.maxsize, 0), NotTaken("the collector has failed"))

    def _committed(self, entries: Sequence[Entry]) -> NotTaken | None:
        """Write what some have brought; `None` if it is durable."""
        records: dict[int, list[bytes]] = {}
        for entry in entries:
            for partition, line in entry.lines:
                records.setdefault(partition, []).append(line)
        try:
            self._write(records)
        except OSError as error:
            self._is_torn = True
            with suppress(OSError):
                self._tell_end()
            return NotTaken(f"it cannot be written: {error.strerror or error}")
        return None

    def _write(self, records: Mapping[int, Sequence[bytes]]) -> None:
        self._mend()
        # Who reads is told first: what it does not know of yet arrives later than its own now.
        self._mark.tell(Durable(self._end, self._number, max(self._clock(), self._latest)))
        arrival = max(self._clock(), self._latest)
        descriptor = self._segment(arrival)
        frame = encode_frame(self._end, self._number, arrival, records)
        write_all(descriptor, frame, self._end - self._base)
        os.fdatasync(descriptor)
        self._latest = arrival
        self._end += len(frame)
        self._number += sum(len(lines) for lines in records.values())
        self._tell_end()

    def _tell_end(self) -> None:
        self._mark.tell(Durable(self._end, self._number))

    def _mend(self) -> None:
        """Cut off what could not be written to its end."""
        if self._is_torn and self._descriptor is not None:
            os.ftruncate(self._descriptor, self._end - self._base)
            os.fsync(self._descriptor)
        self._is_torn = False

    def _segment(self, now: int) -> int:
        """The file that is written to: the last one, or a new one when that has had its time."""
        if self._descriptor is not None:
            is_fresh = now - self._begun_at < min(self._sizes.duration, self._retention.age)
            if is_fresh and self._end - self._base < self._sizes.segment:
                return self._descriptor
        return self._begin_segment(now)

    def _begin_segment(self, now: int) -> int:
        head = Head(self._manifest.id_bytes, self._end, self._number, self._latest, now)
        descriptor = create_segment(self._folder, head)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._base, self._begun_at = self._end, now
        self._end += HEAD_SIZE
        return descriptor

    def _tidy(self) -> None:
        """Let go of what need not be kept; what cannot be removed now is tried again."""
        self._tidied = time.monotonic()
        now = self._clock()
        with suppress(OSError, LogDamaged):
            has_records = self._end - self._base > HEAD_SIZE
            if has_records and now - self._latest > self._retention.age:
                self._mend()
                self._begin_segment(now)
                self._tell_end()
            remove_outdated(self._folder, self._manifest, self._retention, now)
