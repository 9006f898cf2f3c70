"""What followed files held when a job had read them up to some position: read once more.

Files are found again by what they are on disk, as they are when they are followed.  Those that
were written for the last time before an instant are passed over: what matters is later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]

from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from connectors.sources.followed import read_position
from connectors.sources.recorded import DAMAGES, RecordedFile, matching_files, read_open_file
from connectors.sources.tails import Mark, head_of

# Later than what has been read; earlier than anything.
NOTHING_KNOWN = 1 << 62
ALL_KNOWN = -NOTHING_KNOWN


class FileHistory:
    """The records before a position, of files that were written at `since` or later.

    Raises:
        SourceError: the position is not one of ours.
    """

    def __init__(self, patterns: Iterable[str | Path], position: bytes | None, since: int) -> None:
        read = read_position(position)
        marks = {(mark.device, mark.inode): mark for mark in read.marks}
        self._files: list[tuple[Path, Mark, int]] = []
        gone = read.gone
        for path in matching_files(patterns):
            facts = path.stat()
            mark = marks.pop((facts.st_dev, facts.st_ino), None)
            if mark is None:
                continue
            gone = max(gone, mark.rewritten)
            if mark.line > 1 and facts.st_mtime_ns // 1_000 >= since:
                self._files.append((path, mark, mark.offset or facts.st_size))
        gone = max([gone, *(mark.modified for mark in marks.values())])
        self._chunks = self._read()
        self.ended = False
        self.size = sum(size for _, _, size in self._files)
        self.done = 0
        """Of `size`: bytes on disk."""
        self.known_since = ALL_KNOWN if gone < since else gone
        """Nothing that was read later is missing."""
        self.lack = "" if gone < since else "files that it read are gone"

    def poll(self) -> Chunk | None:
        """The next records; `None` when it has ended.

        Raises:
            SourceError: a file cannot be read.
        """
        chunk = next(self._chunks, None)
        self.ended = chunk is None
        return chunk

    def close(self) -> None:
        """Let go of the file that is being read."""
        self._chunks = iter(())

    def _read(self) -> Iterator[Chunk]:
        for path, mark, size in self._files:
            begun = self.done
            try:
                with path.open("rb", buffering=0) as raw:
                    if head_of(raw, mark.head_size) != mark.head:
                        self._miss(mark)
                        continue
                    for chunk in read_open_file(RecordedFile(path, mark.number, size), raw):
                        self.done = begun + min(self.done - begun + chunk.size, size)
                        yield chunk.before_line(mark.line)
                        if chunk.end_line >= mark.line:
                            break
            except FileNotFoundError:
                self._miss(mark)
            except (*DAMAGES, pa.ArrowException):
                pass  # what could be read of it has been, now as then
            except OSError as error:
                raise SourceError(f"cannot read {path}: {error}") from error
            self.done = begun + size

    def _miss(self, mark: Mark) -> None:
        """Of a file that is gone, or not what it was."""
        self.known_since = max(self.known_since, mark.modified)
        self.lack = "files that it read are gone"


class NoHistory:
    """Of a source that cannot be read a second time."""

    size = done = 0
    ended = True
    known_since = NOTHING_KNOWN
    lack = "standard input has no history"

    def poll(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing is held."""
