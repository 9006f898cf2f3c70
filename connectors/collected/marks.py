"""Marks: how far a log is durable, and how far it has been read, told from process to process.

Each is a number in a file beside the segments.  They are written in place and nobody waits for the
disk: what a power cut leaves is a mark of a while ago, and both may be too low at any time.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

_DURABLE = "durable"
_READ = "read"
_CHECKSUM = 4
_TRIES = 10  # to read what is being written at this moment


class Durable(NamedTuple):
    """All before `end` is durable, and `number` is the record that comes then.

    `coming` is an instant if something is being written: it arrived then or later.
    """

    end: int
    number: int
    coming: int = 0


class DurableMark:
    """Of its writer, who tells; and of all who read."""

    def __init__(self, folder: Path) -> None:
        self._slot = _Slots(folder / _DURABLE, struct.Struct("<qqq"))

    def tell(self, durable: Durable) -> None:
        self._slot.write(0, *durable)

    def ask(self) -> Durable:
        """What was told last; nothing, if that is lost."""
        found = self._slot.read(0)
        return Durable(0, 0) if found is None else Durable(*found)

    def keep(self) -> None:
        """Wait until the disk has it."""
        self._slot.keep()

    def close(self) -> None:
        self._slot.close()


class ReadMarks:
    """For each partition, up to where its reader need never read again."""

    def __init__(self, folder: Path) -> None:
        self._slots = _Slots(folder / _READ, struct.Struct("<q"))

    def tell(self, partition: int, offset: int) -> None:
        self._slots.write(partition, offset)

    def ask(self, partition: int) -> int:
        found = self._slots.read(partition)
        return 0 if found is None else found[0]

    def keep(self) -> None:
        """Wait until the disk has them."""
        self._slots.keep()

    def close(self) -> None:
        self._slots.close()


class _Slots:
    """Numbers at fixed places of a file, each with a checksum."""

    def __init__(self, path: Path, shape: struct.Struct) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._shape = shape
        self._size = shape.size + _CHECKSUM

    def write(self, slot: int, *numbers: int) -> None:
        packed = self._shape.pack(*numbers)
        os.pwrite(self._descriptor, packed + _checksum(packed), slot * self._size)

    def read(self, slot: int) -> tuple[int, ...] | None:
        for _ in range(_TRIES):
            found = os.pread(self._descriptor, self._size, slot * self._size)
            packed = found[:-_CHECKSUM]
            if len(found) == self._size and found[-_CHECKSUM:] == _checksum(packed):
                return self._shape.unpack(packed)
        return None

    def keep(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def _checksum(packed: bytes) -> bytes:
    return zlib.crc32(packed, 1).to_bytes(_CHECKSUM, "little")
