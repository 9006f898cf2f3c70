"""The file destination: transition records as JSON lines, appended.

`{date}` in the path is the UTC date on which a record is written, so a file whose day is over does
not change any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

DATE = "{date}"


class FileDestination:
    """Appends to one file, or to one a day.

    A record is on its way to the disk when `write` returns; a line that a crash has cut off is
    removed before anything is appended, because its record will be written again.
    """

    def __init__(self, path: str) -> None:
        self._pattern = path
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._encoder = msgspec.json.Encoder()

    def write(self, records: Sequence[object], date: str) -> None:
        """Append records on a date such as `2026-03-01`.

        Raises:
            OSError: the file cannot be written.
        """
        if not records:
            return
        file = self._open(Path(self._pattern.replace(DATE, date)))
        file.write(self._encoder.encode_lines(records))
        file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = self._path = None

    def _open(self, path: Path) -> BinaryIO:
        if self._file is None or path != self._path:
            self.close()
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                _remove_torn_line(path)
            self._file, self._path = path.open("ab"), path
        return self._file


_BLOCK = 1 << 16


def _remove_torn_line(path: Path) -> None:
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)
