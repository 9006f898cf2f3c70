"""A log as the job follows it: what is durable, in its order, from where an earlier job stopped.

It is in one process with its writer, or in another on the same machine: in either case it looks
how far the log is durable, and reads up to there.  Several readers share the partitions; each goes
through the whole log and leaves out what is not its own.

What arrived before the job started is its past.  All readers deliver theirs before one of them goes
on, so that none is in the present while another is in the past.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from connectors.collected.chunks import chunk_of, log_name
from connectors.collected.errors import LogInUse
from connectors.collected.folder import Manifest, has_writer, read_manifest, writer_lock
from connectors.collected.frames import Frame
from connectors.collected.marks import DurableMark, ReadMarks
from connectors.collected.opening import open_log
from connectors.collected.position import read_marks, write_marks
from connectors.collected.reading import FrameReader, first_place
from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from connectors.sources.source import EVERYTHING, Portion
from connectors.wall_clock import wall_clock

# Microseconds that a commit may take before it is said that something is behind.  Who is told that
# a source has caught up allows for more than that.
_USUAL = 50_000

# A job that asks for a position has stored the one before the last, wherever its processes are.
_POSITIONS_KEPT = 2

# Seconds.
_PATIENCE = 5.0
_PAUSE = 0.01
_LOOK_EVERY = 1.0


class CollectedSource:
    """Follows a log, which is made if there is none.

    Args:
        started: What arrived before is the past.

    Raises:
        SourceError: the log is damaged.
        OSError: it cannot be read.
    """

    def __init__(self, folder: Path, source: str, started: int) -> None:
        self._folder = folder
        self._name = log_name(source)
        self._started = started
        self._manifest = _opened(folder)
        self._durable = DurableMark(folder)
        self._read = ReadMarks(folder)
        self._looked = float("-inf")
        self._has_writer = True
        self.reached: int | None = None
        self.caught_up = False

    def follow(self, positions: Sequence[bytes], portion: Portion = EVERYTHING) -> CollectedSource:
        """Read on at the positions of an earlier job's shares, or at the beginning.

        Raises:
            SourceError: a position is not of this log, or what comes next is gone.
        """
        own = [one for one in range(self._manifest.partitions) if portion.has(one)]
        marks = read_marks(positions, self._manifest, self._folder)
        end = self._durable.ask().end
        first = first_place(self._folder, end)
        self._marks = {one: marks.get(one, first) for one in own}
        self._goes_on = portion.goes_on
        self._is_past = True
        start = min(self._marks.values(), default=end)
        if start < first:
            raise SourceError(
                f"{first - start:,} bytes are missing in {self._folder}: the job stopped reading "
                f"at {start}, and what is left begins at {first}; start with --rebuild to count "
                "anew"
            )
        self._frames = FrameReader(self._folder, self._manifest, start)
        # Nothing that may be read again is removed, whatever earlier jobs have read.
        self._positions = deque([dict(self._marks)] * _POSITIONS_KEPT)
        self._tell_read(self._marks)
        self._read.keep()
        return self

    def poll(self, limit: int) -> list[Chunk]:
        """What has become durable: some `limit` bytes, or a little more.

        Raises:
            SourceError: the log is damaged.
            OSError: it cannot be read.
        """
        now = wall_clock()
        durable = self._durable.ask()
        before = self._started if self._is_past else None
        frames = self._frames.read(durable.end, limit, before)
        chunk = chunk_of(self._name, frames, self._is_wanted)
        end = self._frames.offset
        for partition, mark in self._marks.items():
            self._marks[partition] = max(mark, end)
        self._tell_time(frames, durable.end, durable.coming, now)
        return [] if chunk is None else [chunk]

    def position(self) -> bytes:
        """What has been delivered so far; what was before earlier positions need not stay."""
        self._positions.append(dict(self._marks))
        self._tell_read(self._positions.popleft())
        return write_marks(self._marks, self._manifest)

    def close(self) -> None:
        """Let go of the log."""
        self._frames.close()
        self._durable.close()
        self._read.close()

    def _is_wanted(self, partition: int, offset: int) -> bool:
        return partition in self._marks and offset >= self._marks[partition]

    def _tell_read(self, marks: Mapping[int, int]) -> None:
        for partition, offset in marks.items():
            self._read.tell(partition, offset)

    def _tell_time(self, frames: Sequence[Frame], end: int, coming: int, now: int) -> None:
        """Work out `caught_up` and `reached`, after the log was asked at `now`."""
        is_behind = self._frames.offset < end
        if frames:
            self.reached = frames[-1].arrival
        if self._is_past:
            self.caught_up = False
            if (is_behind and not self._frames.is_held) or self._is_stalled(coming, self._started):
                return
            self.reached = self._started
            self._is_past = not self._goes_on()
        elif is_behind:
            self.caught_up = False
        elif self._is_stalled(coming, now - _USUAL):
            self.caught_up = False
            self.reached = coming
        else:
            self.caught_up = True

    def _is_stalled(self, coming: int, until: int) -> bool:
        """Whether something is being written that arrived before; not if its writer has died."""
        if not 0 < coming < until:
            return False
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self._looked = time.monotonic()
            self._has_writer = has_writer(self._folder)
        return self._has_writer


def _opened(folder: Path) -> Manifest:
    """What a log is, after its end has been looked after; its writer has done that, if it has one.

    Raises:
        SourceError: the log is damaged, or nobody makes it.
        OSError: it cannot be read.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with writer_lock(folder, patience=0):
                return open_log(folder)[0]
        except LogInUse:
            manifest = read_manifest(folder)
            if manifest is not None:
                return manifest
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)
