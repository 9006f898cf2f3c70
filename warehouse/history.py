"""The history of a parent model's pulls: one line each, also of those that have failed or died.

A pull is written down when it begins, under the lock that it holds, and once more when it ends.  So
one that is last, has begun, and whose lock is free has died: whoever looks next says so.  The file
is small and always replaced as a whole, so that no crash leaves a part of it.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from warehouse.versions import Versions, write_durably

_DIED = "it was ended before it had finished"
_FILE = "pulls.jsonl"


class Status(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Trigger(StrEnum):
    """Why there was a pull."""

    ON_DEMAND = "on_demand"
    SCHEDULED = "scheduled"
    DEFINITION = "definition"
    START = "start"


class Extent(StrEnum):
    """What was read: all rows, some of them or none, or an earlier version that was kept."""

    FULL = "full"
    PARTIAL = "partial"
    ROLLBACK = "rollback"


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """One pull.  Instants and durations are microseconds; `None` is what is not known (yet)."""

    version: str
    pull_date: int  # when it began
    trigger: Trigger
    extent: Extent = Extent.FULL
    status: Status = Status.RUNNING
    duration: int | None = None
    rows: int | None = None
    moved: int | None = None  # users that came, went, or of whom a predicate has changed
    error: str | None = None

    @property
    def ended_at(self) -> int:
        return self.pull_date + (self.duration or 0)


class History:
    """Of one parent model, below its versions; `keep` is how many pulls are remembered."""

    def __init__(self, versions: Versions, keep: int) -> None:
        self._versions = versions
        self._keep: Final = keep
        self._file: Path = versions.folder / _FILE

    def pulls(self) -> list[Pull]:
        """All that are remembered, the oldest first.

        Raises:
            OSError: they cannot be read.
        """
        while True:
            found = self._read()
            if not found or found[-1].status is not Status.RUNNING or self._versions.is_locked:
                return found
            if self._read() == found:  # it has not ended meanwhile
                return [*found[:-1], self._settled(found[-1])]

    def begin(self, pull: Pull) -> None:
        """Write down a pull that begins; called by who holds the lock, as all that follow.

        Raises:
            OSError: it cannot be written.
        """
        found = self._read()
        if found and found[-1].status is Status.RUNNING:
            found[-1] = died = self._settled(found[-1])
            if died.status is Status.FAILED and died.extent is not Extent.ROLLBACK:
                self._versions.remove(died.version)  # complete perhaps, and never in force
        self._write([*found, pull])

    def end(self, pull: Pull) -> None:
        """Write down what became of the pull that has begun last.

        Raises:
            OSError: it cannot be written.
        """
        self._write([*self._read()[:-1], pull])

    def _settled(self, pull: Pull) -> Pull:
        """What became of a pull that has died; it may have done its work."""
        current = self._versions.current()
        if current is not None and current.name == pull.version:
            return msgspec.structs.replace(pull, status=Status.SUCCEEDED)
        return msgspec.structs.replace(pull, status=Status.FAILED, error=_DIED)

    def _read(self) -> list[Pull]:
        try:
            lines = self._file.read_bytes()
        except FileNotFoundError:
            return []
        try:
            return msgspec.json.Decoder(Pull).decode_lines(lines)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return []  # damaged: nothing depends on it

    def _write(self, pulls: list[Pull]) -> None:
        write_durably(self._file, msgspec.json.Encoder().encode_lines(pulls[-self._keep :]))
