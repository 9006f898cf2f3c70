"""What need not be kept any longer: segments that are outdated and have been read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from connectors.collected.folder import Manifest
from connectors.collected.limits import Retention
from connectors.collected.marks import ReadMarks
from connectors.collected.segments import find_segments, segment_head
from connectors.durability import make_durable


def remove_outdated(folder: Path, manifest: Manifest, retention: Retention, now: int) -> None:
    """Remove the oldest segments, as long as they are too old, or all are too large together.

    What the job may read again stays, and the last one, which is written to.

    Raises:
        OSError: a file cannot be removed.
        LogDamaged: a segment has no head.
    """
    segments = find_segments(folder)
    read = _read_by_all(folder, manifest)
    size = sum(one.end - one.base for one in segments)
    for oldest, following in pairwise(segments):
        if oldest.end > read:
            break
        is_old = segment_head(following.path).latest <= now - retention.age
        is_too_much = retention.size is not None and size > retention.size
        if not is_old and not is_too_much:
            break
        oldest.path.unlink(missing_ok=True)
        make_durable(folder)  # or the next could be gone, and this one still be there
        size -= oldest.end - oldest.base


def _read_by_all(folder: Path, manifest: Manifest) -> int:
    marks = ReadMarks(folder)
    try:
        return min(marks.ask(partition) for partition in range(manifest.partitions))
    finally:
        marks.close()
