"""A segment of a log as a recording: a file that is read for itself, wherever it lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from connectors.collected.chunks import CollectedChunk, chunk_of
from connectors.collected.frames import BrokenFrame, Frame
from connectors.collected.opening import damaged
from connectors.collected.segments import (
    HEAD_SIZE,
    find_segments,
    goes_on,
    read_frames,
    read_head,
)

_BLOCK = 1 << 20


def read_segment(path: Path, number: int, descriptor: int, size: int) -> Iterator[CollectedChunk]:
    """The chunks of the first `size` bytes of a segment.

    The last of a log may end in the middle of what is being written, as may one that was the last
    when its size was looked at; nothing else may be broken.

    Raises:
        LogDamaged: something is.
    """
    base = read_head(descriptor, path).base
    offset, end = base + HEAD_SIZE, base + size
    frames: list[Frame] = []
    try:
        for frame in read_frames(descriptor, base, offset, end):
            frames.append(frame)
            offset = frame.end
            if offset - frames[0].offset >= _BLOCK:
                yield from _chunk(path, frames, number)
                frames = []
    except BrokenFrame:
        is_last = all(one.base <= base for one in find_segments(path.parent))
        # It may have been written on, and been followed by another, since its size was looked at.
        may_end = is_last or os.fstat(descriptor).st_size > size
        if not may_end or goes_on(descriptor, base, offset, end):
            raise damaged(path, offset - base) from None
    yield from _chunk(path, frames, number)


def _chunk(path: Path, frames: list[Frame], number: int) -> Iterator[CollectedChunk]:
    chunk = chunk_of(str(path), frames, lambda _partition, _offset: True, number)
    if chunk is not None:
        yield chunk
