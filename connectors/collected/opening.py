"""Opening a log: its end is found, and what a crash has left behind that is cut off.

Every commit is durable before the next is begun.  So only the last one can be in pieces, and then
nobody was told that it is there.  Anything else that is broken was acknowledged, and is not passed
over: the log is not opened.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from connectors.collected.errors import LogDamaged
from connectors.collected.folder import Manifest, make_manifest, read_manifest
from connectors.collected.frames import BrokenFrame
from connectors.collected.marks import Durable, DurableMark
from connectors.collected.segments import (
    HEAD_SIZE,
    Segment,
    find_segments,
    goes_on,
    read_frames,
    read_head,
)
from connectors.durability import make_durable

ADVICE = (
    "restore it from a copy; or move the folder away, to begin with an empty log, and start the "
    "job with --rebuild"
)


class End(NamedTuple):
    """Where a log goes on; `segment` is its last file, if it has one, begun at `begun_at`."""

    segment: Segment | None
    end: int
    number: int
    latest: int = 0
    begun_at: int = 0


def open_log(folder: Path) -> tuple[Manifest, End]:
    """The log of a folder, made if there is none; only its writer may open it.

    All that it holds is durable then, and said to be.

    Raises:
        LogDamaged: something is missing, or not as it was written.
        OSError: it cannot be read, or the disk does not take what is to be written.
    """
    manifest = read_manifest(folder) or make_manifest(folder)
    mark = DurableMark(folder)
    try:
        told = mark.ask()
        end = _find_end(folder, manifest, told)
        mark.tell(Durable(end.end, end.number))
        mark.keep()
    finally:
        mark.close()
    return manifest, end


def _find_end(folder: Path, manifest: Manifest, told: Durable) -> End:
    segments = find_segments(folder)
    for one, following in pairwise(segments):
        if one.end != following.base:
            raise damaged(one.path, min(one.end, following.base) - one.base)
    while segments:
        last = segments.pop()
        end = _end_of(last, manifest, told)
        if end is not None:
            make_durable(folder)
            return end
        last.path.unlink()  # it was being made, and nothing was in it
    return End(None, told.end, told.number)


def _end_of(segment: Segment, manifest: Manifest, told: Durable) -> End | None:
    """The end of the last segment, which is cut off there; `None` if it never was one."""
    descriptor = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            head = read_head(descriptor, segment.path)
        except LogDamaged:
            if told.end > segment.base or segment.end - segment.base > HEAD_SIZE:
                raise damaged(segment.path, 0) from None
            return None
        if head.log != manifest.id_bytes or head.base != segment.base:
            raise LogDamaged(f"{segment.path} belongs to another log; {ADVICE}")
        end, number, latest = segment.base + HEAD_SIZE, head.number, head.begun_at
        try:
            for frame in read_frames(descriptor, segment.base, end, segment.end):
                end, number, latest = frame.end, frame.next_number, frame.arrival
        except BrokenFrame:
            if told.end > end or goes_on(descriptor, segment.base, end, segment.end):
                raise damaged(segment.path, end - segment.base) from None
            os.ftruncate(descriptor, end - segment.base)
        if told.end > end:
            raise damaged(segment.path, end - segment.base)
        os.fsync(descriptor)
        return End(segment._replace(end=end), end, number, latest, head.begun_at)
    finally:
        os.close(descriptor)


def damaged(path: Path, place: int) -> LogDamaged:
    """What to say of a segment in which something acknowledged is broken, at a place in it."""
    return LogDamaged(f"{path} is damaged at byte {place}, in what was acknowledged; {ADVICE}")
