"""Raw records as they were read, a stretch of one file at a time, in order.

Lines stay one run of bytes: the decoder reads them in place, and the few lines that must be
looked at on their own (broken ones, those without a message id) are cut out by their bounds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np

from engine.compiled import kernel
from engine.plan import Bytes, Int64s

LONGEST_LINE = 10_000_000
EXCERPT = 200
_SHORT_LINE = 64  # bytes; room for the bounds of lines of this length suffices for most chunks
NEWLINE = 0x0A


def _nothing() -> Bytes:
    return np.empty(0, dtype=np.uint8)


# A raw record of a file that has columns instead of lines.
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be processed: where it is, why, and how it begins."""

    file: str
    line: int
    reason: str
    excerpt: str


class Lines(NamedTuple):
    """Where each line that is not blank lies in its chunk, spaces around it left out.

    Tabs belong to the line: they separate columns that may be empty.
    """

    starts: Int64s
    ends: Int64s
    numbers: Int64s  # counted from the chunk's first line, which is 0


@dataclass
class Chunk:
    """Consecutive records of one file.

    Either `data` holds whole lines, each ended by a newline, or `rows` holds records that were
    never lines (Parquet).  `dead_letters` are lines that were too long to be held.  `size` is how
    many bytes of the file, as it lies on disk, the chunk stands for.  `arrivals` are those of the
    `lines`, where the source itself knows them.
    """

    file: str
    number: int  # the place of the file among all that are read
    first_line: int  # counted from 1
    data: Bytes = field(default_factory=_nothing, repr=False)
    rows: Sequence[Row] = field(default=(), repr=False)
    dead_letters: tuple[DeadLetter, ...] = ()
    size: int = 0
    arrivals: Int64s | None = field(default=None, repr=False)

    @cached_property
    def newlines(self) -> Int64s:
        ends = np.empty(len(self.data) // _SHORT_LINE + 1, dtype=np.int64)
        count = find_newlines(self.data, ends)
        if count > len(ends):
            ends = np.empty(count, dtype=np.int64)
            find_newlines(self.data, ends)
        return ends[:count].copy()

    @cached_property
    def lines(self) -> Lines:
        ends = self.newlines.copy()
        starts = np.zeros_like(ends)
        starts[1:] = ends[:-1] + 1
        trim(self.data, starts, ends)
        if (filled := starts < ends).all():
            return Lines(starts, ends, np.arange(len(ends)))
        return Lines(starts[filled], ends[filled], np.flatnonzero(filled))

    @property
    def end_line(self) -> int:
        """The number of the line that follows the chunk."""
        return self.first_line + len(self.newlines) + len(self.rows)

    def from_line(self, line: int) -> Chunk:
        """The part of the chunk from a line on."""
        skipped = min(max(line - self.first_line, 0), self.end_line - self.first_line)
        if skipped == 0:
            return self
        start = int(self.newlines[skipped - 1]) + 1 if len(self.data) else 0
        return Chunk(self.file, self.number, line, self.data[start:], self.rows[skipped:])

    def before_line(self, line: int) -> Chunk:
        """The part of the chunk before a line."""
        kept = max(line - self.first_line, 0)
        if kept >= self.end_line - self.first_line:
            return self
        end = int(self.newlines[kept - 1]) + 1 if kept and len(self.data) else 0
        return Chunk(self.file, self.number, self.first_line, self.data[:end], self.rows[:kept])

    @property
    def count(self) -> int:
        """How many records were received; blank lines are none."""
        return len(self.lines.starts) + len(self.rows) + len(self.dead_letters)

    def line(self, i: int) -> bytes:
        """The bytes of line `i` of `lines`."""
        return self.data[self.lines.starts[i] : self.lines.ends[i]].tobytes()

    def line_numbers(self, places: Int64s) -> Int64s:
        """Where the records of some places (among `lines`, or `rows`) are in the file."""
        return self.first_line + (places if self.rows else self.lines.numbers[places])

    def dead_letter(self, place: int, reason: str) -> DeadLetter:
        content = msgspec.json.encode(self.rows[place]) if self.rows else self.line(place)
        number = int(self.line_numbers(np.array([place]))[0])
        return DeadLetter(self.file, number, reason, excerpt(content))

    def digest(self, place: int) -> str:
        """32 hexadecimal digits that stand for the content of a record."""
        content = msgspec.json.encode(self.rows[place]) if self.rows else self.line(place)
        return hashlib.blake2b(content, digest_size=16).hexdigest()


def excerpt(line: bytes) -> str:
    """How a record begins, for people to recognise it."""
    return line[:EXCERPT].decode("utf-8", "replace")


@kernel
def find_newlines(data, ends):  # type: ignore[no-untyped-def]
    """Write the place of each newline to `ends`, as far as it goes; return how many there are.

    Most stretches of 64 bytes have none, which vector instructions see at once.
    """
    count = 0
    whole = data.size // 64 * 64
    for start in range(0, whole, 64):
        found = np.uint8(0)
        for i in range(start, start + 64):
            found |= np.uint8(data[i] == NEWLINE)
        if found:
            count = _add_newlines(data, start, start + 64, ends, count)
    return _add_newlines(data, whole, data.size, ends, count)


@kernel
def _add_newlines(data, start, end, ends, count):  # type: ignore[no-untyped-def]
    for i in range(start, end):
        if data[i] == NEWLINE:
            if count < ends.size:
                ends[count] = i
            count += 1
    return count


@kernel
def trim(data, starts, ends):  # type: ignore[no-untyped-def]
    """Move the bounds of all lines inwards past spaces and carriage returns."""
    for i in range(starts.size):
        start, end = starts[i], ends[i]
        while start < end and (data[start] == 32 or data[start] == 13):
            start += 1
        while start < end and (data[end - 1] == 32 or data[end - 1] == 13):
            end -= 1
        starts[i], ends[i] = start, end
