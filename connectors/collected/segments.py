"""Segments: the files of a log, one after the other.

A place in the log is a number of bytes since its beginning, heads of files included.  A file is
named after the place at which it begins, so that where one ends the next is found.

    segment:  magic with format version · id of the log · place · number of its first record ·
              latest arrival before it · when it was begun · checksum · frames
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from connectors.collected.errors import LogDamaged
from connectors.collected.frames import MAGIC as FRAME_MAGIC
from connectors.collected.frames import BrokenFrame, Frame, decode_frame, frame_size
from connectors.durability import make_durable

SUFFIX = ".events"
MAGIC = b"\xffUSHEL1\n"
_HEAD = struct.Struct("<8s16sqqqqI")
HEAD_SIZE = _HEAD.size

_BLOCK = 1 << 20


class Head(NamedTuple):
    """What a segment says of itself.

    What is before it arrived until `latest`, what is in it since `begun_at`.
    """

    log: bytes
    base: int
    number: int
    latest: int
    begun_at: int


class Segment(NamedTuple):
    """A file of a log, from `base` to `end`, as it was looked at."""

    path: Path
    base: int
    end: int


def find_segments(folder: Path) -> list[Segment]:
    """All segments in a folder, in their order."""
    found: list[Segment] = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            base = int(path.stem)
            found.append(Segment(path, base, base + path.stat().st_size))
        except (ValueError, FileNotFoundError):
            continue  # it is not ours, or has just been removed
    return sorted(found, key=lambda one: one.base)


def segment_path(folder: Path, base: int) -> Path:
    return folder / f"{base:020d}{SUFFIX}"


def create_segment(folder: Path, head: Head) -> int:
    """Make a segment, durable with its name; a descriptor to write to it.

    Raises:
        OSError: it cannot be made; then there is none.
    """
    path = segment_path(folder, head.base)
    packed = _HEAD.pack(MAGIC, *head, 0)[:-4]
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, packed + zlib.crc32(packed).to_bytes(4, "little"), 0)
        os.fsync(descriptor)
        make_durable(folder)
    except OSError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def read_head(descriptor: int, path: Path) -> Head:
    """The head of a segment.

    Raises:
        LogDamaged: it has none.
    """
    packed = os.pread(descriptor, HEAD_SIZE, 0)
    if len(packed) == HEAD_SIZE:
        magic, *told, checksum = _HEAD.unpack(packed)
        if magic == MAGIC and checksum == zlib.crc32(packed[:-4]):
            return Head(*told)
    raise LogDamaged(f"{path} does not begin as a segment of a log does")


def segment_head(path: Path) -> Head:
    """The same of a file.

    Raises:
        LogDamaged: it has none.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_head(descriptor, path)
    finally:
        os.close(descriptor)


def read_frames(descriptor: int, base: int, offset: int, end: int) -> Iterator[Frame]:
    """The frames of a segment that begins at `base`, from one place in the log to another.

    Raises:
        BrokenFrame: what is there is not whole frames; all that come before have been yielded.
    """
    size = _BLOCK
    while offset < end:
        data = memoryview(os.pread(descriptor, min(size, end - offset), offset - base))
        place = 0
        while place < len(data):
            try:
                needed = frame_size(data, place)
            except BrokenFrame:
                needed = 0
            if place + needed > len(data) or (not needed and place):
                break
            yield (frame := decode_frame(data, place, offset + place))
            place = frame.end - offset
        if place == 0:
            if size >= end - offset:
                raise BrokenFrame
            size = min(max(size * 2, needed), end - offset)
            continue
        offset += place
        size = _BLOCK


def goes_on(descriptor: int, base: int, broken: int, end: int) -> bool:
    """Whether there is a whole frame behind a broken one, in a segment that begins at `base`."""
    content = os.pread(descriptor, end - broken, broken - base)
    data = memoryview(content)
    place = content.find(FRAME_MAGIC, 1)
    while place >= 0:
        try:
            decode_frame(data, place, broken + place)
        except BrokenFrame:
            place = content.find(FRAME_MAGIC, place + 1)
        else:
            return True
    return False


def write_all(descriptor: int, content: bytes, place: int) -> None:
    """Write to a place in a file, whatever the system does at once."""
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, place)
        rest, place = rest[written:], place + written
