"""The file destination: transition records as JSON lines, appended.

`{date}` in the path is the UTC date on which a record is written, so a file whose day is over does
not change any more.

Every record is written at least once.  A job that was killed evaluates the events since its last
stored state again when it is started anew, and appends what comes of them again.  A repeated
transition has the id that it had, as long as it happens at the same instant: events that carry the
time at which they were received keep it; others arrive when they are read.
"""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path

from typing_extensions import Buffer

from audience_dsl.shapes import Field, Record
from audience_dsl.warehouse_grammar import FILE

OPTIONS = Record(
    "file",
    "A file of JSON lines.",
    (Field("path", FILE, "The file; `{date}` becomes the day.", required=True),),
)

DATE = "{date}"


class FileDestination:
    """Appends to one file, or to one a day.

    Lines that are written at once stay together, also where others append to the file.  Other
    processes see a record when `write` returns; it survives a power cut when `settle` has.
    A line that a crash has cut off is removed before anything is appended, because its record
    will be written again.  Dates are like `2026-03-01`.
    """

    def __init__(self, path: str) -> None:
        self._pattern = path
        self._path: Path | None = None
        self._file: FileIO | None = None

    def open(self, date: str) -> None:
        """Create or open the file of a date, so that what stands in the way shows at once.

        Raises:
            OSError: the file cannot be written.
        """
        self._opened(date)

    def write(self, lines: Buffer, date: str) -> None:
        """Append whole lines on a date.

        Raises:
            OSError: the file cannot be written.
        """
        rest = memoryview(lines)
        while rest:
            rest = rest[self._opened(date).write(rest) :]

    def settle(self) -> None:
        """Return when everything written is on the disk.

        Raises:
            OSError: it cannot be.
        """
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Settle and let go of the file.

        Raises:
            OSError: what was written cannot be brought to the disk.
        """
        file, self._file, self._path = self._file, None, None
        if file is not None:
            with file:
                os.fsync(file.fileno())

    def _opened(self, date: str) -> FileIO:
        path = Path(self._pattern.replace(DATE, date))
        if self._file is None or path != self._path:
            self.close()
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                _remove_torn_line(path)
            elif path.exists():
                raise OSError(errno.EINVAL, "not an ordinary file", str(path))
            self._file, self._path = path.open("ab", buffering=0), path
        return self._file


_BLOCK = 1 << 16


def _remove_torn_line(path: Path) -> None:
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)
