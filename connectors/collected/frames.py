"""Frames: how events lie in a log.

All that one commit writes is a frame: it is there as a whole or not at all.

    frame:      magic · checksum · offset · number · arrival · size · how many sections
    section:    partition · how many records · their bytes           (one after the other)
    content:    the records of all sections, in their order, a line each

The checksum goes over all that follows it.  `offset` is where the frame begins in the log, so that
nothing is taken for a frame that lies where it was not written; `number` is that of its first
record; `arrival` is when all of them arrived.  The magic has bytes that no text has, so a line
never looks like a frame.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# The section of what could not be read: not events, but reasons.
LETTERS = 0xFFFF

MAGIC = b"\xff\xfeUF"
_HEAD = struct.Struct("<4sIqqqIH")
_SECTION = struct.Struct("<HII")
_UNCHECKED = 8  # magic and checksum


class BrokenFrame(Exception):
    """There is no whole frame here."""


class Frame(NamedTuple):
    """`offset` and `end` are places in the log; its content begins at `data[start]`.

    Of each section there are the partition, how many records it has, and how many bytes.
    """

    offset: int
    end: int
    number: int
    arrival: int
    sections: Sequence[tuple[int, int, int]]
    start: int
    data: memoryview

    @property
    def next_number(self) -> int:
        """The number of the record that follows the frame."""
        return self.number + sum(count for _, count, _ in self.sections)


def encode_frame(
    offset: int, number: int, arrival: int, records: Mapping[int, Sequence[bytes]]
) -> bytes:
    """A frame of the records of each partition; none of them has a newline in it."""
    sections: list[bytes] = []
    contents: list[bytes] = []
    for partition, lines in records.items():
        contents.append(b"\n".join([*lines, b""]))
        sections.append(_SECTION.pack(partition, len(lines), len(contents[-1])))
    body = b"".join(sections + contents)
    head = _HEAD.pack(MAGIC, 0, offset, number, arrival, len(body), len(sections))
    checksum = zlib.crc32(body, zlib.crc32(head[_UNCHECKED:]))
    return head[:4] + checksum.to_bytes(4, "little") + head[_UNCHECKED:] + body


def frame_size(data: memoryview, place: int) -> int:
    """How many bytes the frame has that begins here, by what it says itself.

    Raises:
        BrokenFrame: there is no head of a frame.
    """
    if place + _HEAD.size > len(data):
        raise BrokenFrame
    magic, _, _, _, _, size, _ = _HEAD.unpack_from(data, place)
    if magic != MAGIC:
        raise BrokenFrame
    return _HEAD.size + int(size)


def decode_frame(data: memoryview, place: int, offset: int) -> Frame:
    """The frame that begins at a place in the data, which is `offset` in the log.

    Raises:
        BrokenFrame: there is none, or it is damaged.
    """
    end = place + frame_size(data, place)
    _, checksum, told, number, arrival, _, count = _HEAD.unpack_from(data, place)
    if end > len(data) or told != offset:
        raise BrokenFrame
    if zlib.crc32(data[place + _UNCHECKED : end]) != checksum:
        raise BrokenFrame
    start = place + _HEAD.size + count * _SECTION.size
    sections = list(_SECTION.iter_unpack(data[place + _HEAD.size : start]))
    return Frame(offset, offset + end - place, number, arrival, sections, start, data)
