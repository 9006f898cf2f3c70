"""How far the readers of a log have come, as a job keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from connectors.collected.folder import Manifest
from connectors.sources.errors import SourceError
from connectors.sources.positions import Position, recorded_position

_VERSION = 1


class LogPosition(Position, frozen=True):
    """How far each partition of a log has been read."""

    log: str
    marks: dict[int, int]


def write_marks(marks: Mapping[int, int], manifest: Manifest) -> bytes:
    return msgspec.json.encode(LogPosition(_VERSION, manifest.id, dict(marks)))


def read_marks(positions: Sequence[bytes], manifest: Manifest, folder: Path) -> dict[int, int]:
    """How far the shares of a job have read each partition.

    Raises:
        SourceError: a position is damaged, or another log's.
    """
    marks: dict[int, int] = {}
    for one in positions:
        position = recorded_position(one, LogPosition, _VERSION, f"in {folder}")
        if position.log != manifest.id:
            raise SourceError(
                f"the log in {folder} is not the one that the job read; start with --rebuild to "
                "count anew from what it holds"
            )
        for partition, offset in position.marks.items():
            marks[partition] = max(offset, marks.get(partition, 0))
    return marks
