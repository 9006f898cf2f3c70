"""A stream of bytes, cut into chunks of whole lines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from connectors.sources.chunks import (
    EXCERPT,
    LONGEST_LINE,
    NEWLINE,
    Chunk,
    DeadLetter,
    excerpt,
)
from engine.plan import Bytes

BLOCK = 2_000_000
_WINDOW = 1 << 16
_BOM = b"\xef\xbb\xbf"

# Fills a buffer as far as there is anything to read, and tells how far; 0 at the end.
ReadInto = Callable[[memoryview], int]


class LineCutter:
    """Cuts one file; what follows the last newline waits for the next read.

    A line of more than `LONGEST_LINE` bytes is passed over without being held, and becomes a dead
    letter.  `line` is the number of the line that comes next.
    """

    def __init__(self, file: str, number: int, line: int = 1) -> None:
        self._file = file
        self._number = number
        self.line = line
        self._rest: Bytes = np.empty(0, dtype=np.uint8)
        self._overlong: bytes | None = None  # how the line begins that is being passed over

    @property
    def held(self) -> int:
        """How many bytes wait for their newline."""
        return len(self._rest)

    def read(self, read_into: ReadInto, block: int = BLOCK) -> Chunk | None:
        """The lines that one read of up to `block` bytes completes; `None` at the end."""
        held = len(self._rest)
        buffer = np.empty(held + block, dtype=np.uint8)
        buffer[:held] = self._rest
        count = read_into(memoryview(buffer)[held:])  # type: ignore[arg-type]
        if count == 0:
            return None
        data = buffer[: held + count]
        end = _last_newline(data, held) + 1
        self._rest = data[end:].copy()
        dead_letters = []
        if end and (self._overlong is not None or held):
            first = int(np.argmax(data[:end] == NEWLINE)) + 1
            if self._overlong is not None or first > LONGEST_LINE:
                begin = data[:EXCERPT].tobytes() if self._overlong is None else self._overlong
                dead_letters.append(self._pass_over(begin))
                data, end = data[first:], end - first
        if self._overlong is not None:
            self._rest = self._rest[:0]
        elif len(self._rest) > LONGEST_LINE:
            self._overlong = self._rest[:EXCERPT].tobytes()
            self._rest = self._rest[:0]
        return self._chunk(data[:end], dead_letters, count)

    def finish(self) -> Chunk | None:
        """The last line, if it has no newline."""
        if self._overlong is not None:
            return self._chunk(self._rest[:0], [self._pass_over(self._overlong)], 0)
        if len(self._rest) == 0:
            return None
        data = np.append(self._rest, np.uint8(NEWLINE))
        self._rest = self._rest[:0]
        return self._chunk(data, [], 0)

    def _pass_over(self, begin: bytes) -> DeadLetter:
        reason = f"longer than {LONGEST_LINE:,} bytes"
        dead_letter = DeadLetter(self._file, self.line, reason, excerpt(begin))
        self._overlong = None
        self.line += 1
        return dead_letter

    def _chunk(self, data: Bytes, dead_letters: list[DeadLetter], size: int) -> Chunk:
        if self.line == 1 and data[:3].tobytes() == _BOM:
            data = data[3:]
        letters = tuple(dead_letters)
        chunk = Chunk(self._file, self._number, self.line, data, (), letters, size)
        self.line += len(chunk.newlines)
        return chunk


def _last_newline(data: Bytes, start: int) -> int:
    """The place of the last newline at `start` or after, or -1."""
    end = len(data)
    while end > start:
        begin = max(start, end - _WINDOW)
        found = data[begin:end].tobytes().rfind(b"\n")
        if found >= 0:
            return begin + found
        end = begin
    return -1
