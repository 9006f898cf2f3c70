"""One followed file, and how far it has been read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]

from connectors.sources.chunks import Chunk
from connectors.sources.cutting import BLOCK, LineCutter
from connectors.sources.recorded import DAMAGES, RecordedFile, damaged, read_open_file

_HEAD = 256

# Before anything was written.
LONG_AGO = -(1 << 62)


class Mark(msgspec.Struct, frozen=True):
    """How far a file has been read, and how to recognise it.

    `line` is the number of the first unread line and `offset` where it begins, which only files
    that grow need.  `head` is a digest of the first `head_size` bytes.  `number` is the file's
    place among all that were followed.  `modified` is when it was last seen to have been written;
    `rewritten` is what that was before it was written anew, so that what it held is gone.
    """

    device: int
    inode: int
    number: int
    line: int = 1
    offset: int = 0
    head_size: int = 0
    head: str = ""
    modified: int = LONG_AGO
    rewritten: int = LONG_AGO

    def anew(self) -> Mark:
        """The mark of the same file when it has been written anew."""
        rewritten = max(self.rewritten, self.modified if self.line > 1 else LONG_AGO)
        return Mark(self.device, self.inode, self.number, rewritten=rewritten)


class GrowingTail:
    """Reads the lines that are appended to a file."""

    def __init__(self, path: Path, mark: Mark) -> None:
        self._file: BinaryIO | None = None
        self.path = path
        self.mark = mark
        self._modified = mark.modified  # when all of it had been read
        self._return_to(mark)

    def __del__(self) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def close(self) -> None:
        """Let go of the file until there is more to read."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._return_to(self.mark)

    def held_size(self) -> int | None:
        """The size of the file that is held open, whatever its name is by now."""
        return None if self._file is None else os.fstat(self._file.fileno()).st_size

    def poll(self, size: int) -> Chunk | None:
        """The next lines of a file that has grown to `size`; `None` if there are none.

        Raises:
            OSError: the file cannot be opened or read.
        """
        if size == self._read and self.mark.modified == self._modified:
            return None
        if self._file is None:
            self._file = _opened(self.path, self.mark)
            self._file.seek(self._read)
        if size < self._read or self._head(self.mark.head_size) != self.mark.head:
            self._return_to(self.mark.anew())
            self._file.seek(0)
        if size == self._read:
            self._modified = self.mark.modified
            return None
        room = min(BLOCK, max(size - self._read, 1))
        chunk = self._cutter.read(self._file.readinto, room)  # type: ignore[attr-defined]
        if chunk is None:
            return None
        self._read += chunk.size
        if chunk.count or len(chunk.newlines):
            self._advance()
        return chunk

    def _advance(self) -> None:
        offset = self._read - self._cutter.held
        known = max(self.mark.head_size, min(offset, _HEAD))
        head = self.mark.head if known == self.mark.head_size else self._head(known)
        self.mark = msgspec.structs.replace(
            self.mark, line=self._cutter.line, offset=offset, head_size=known, head=head
        )

    def _return_to(self, mark: Mark) -> None:
        self.mark = mark
        self._read = mark.offset
        self._cutter = LineCutter(str(self.path), mark.number, mark.line)

    def _head(self, size: int) -> str:
        return head_of(self._file, size) if self._file else ""


class CompleteTail:
    """Reads a file that is written once: compressed, or Parquet.

    If its end is missing, a dead letter says so; what follows is read when the file has grown.
    """

    is_open = False

    def __init__(self, path: Path, mark: Mark) -> None:
        self.path = path
        self.mark = mark
        self._chunks: Iterator[Chunk] | None = None
        self._done_at = -1, LONG_AGO
        self._was_reported = False

    def close(self) -> None:
        """It holds its file only while there is something to read."""

    def held_size(self) -> None:
        return None

    def poll(self, size: int) -> Chunk | None:
        """The next records; `None` if all have been read.

        Raises:
            OSError: the file cannot be opened or read.
        """
        written = size, self.mark.modified
        if written == self._done_at:
            return None
        if self._chunks is None:
            self._chunks = self._unread(size)
        chunk = next(self._chunks, None)
        if chunk is None:
            self._chunks = None
            self._done_at = written
        else:
            line = max(chunk.end_line, self.mark.line)
            self.mark = msgspec.structs.replace(self.mark, line=line)
        return chunk

    def _unread(self, size: int) -> Iterator[Chunk]:
        file = RecordedFile(self.path, self.mark.number, size)
        try:
            with _opened(self.path, self.mark) as raw:
                if head_of(raw, self.mark.head_size) != self.mark.head:
                    self.mark = self.mark.anew()
                known = min(size, _HEAD)
                head = head_of(raw, known)
                self.mark = msgspec.structs.replace(self.mark, head_size=known, head=head)
                for chunk in read_open_file(file, raw):
                    if chunk.end_line > self.mark.line:
                        yield chunk.from_line(self.mark.line)
        except (*DAMAGES, pa.ArrowException) as error:
            if not self._was_reported:
                self._was_reported = True
                yield damaged(file.name, file.number, self.mark.line, error)


def _opened(path: Path, mark: Mark) -> BinaryIO:
    """Raises FileNotFoundError: another file has taken its name."""
    file = path.open("rb", buffering=0)
    facts = os.fstat(file.fileno())
    if (facts.st_dev, facts.st_ino) != (mark.device, mark.inode):
        file.close()
        raise FileNotFoundError(path)
    return file


def head_of(file: BinaryIO, size: int) -> str:
    """A digest of the first bytes of a file; nothing if there are none."""
    if size == 0:
        return ""
    return hashlib.blake2b(os.pread(file.fileno(), size, 0), digest_size=8).hexdigest()
