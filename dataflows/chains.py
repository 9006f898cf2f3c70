"""A chain: the state of one key group on disk, as records that are only ever added.

A complete state comes first, differences follow.  What others keep of a chain is a *position*:
which files, up to which byte, with which checksum.  What lies behind it, because a crash came
before the position was stored, was never written.

    file:    magic with format version · records
    record:  length (4 bytes) · checksum (4 bytes) · content

A record's checksum goes over the record and the checksum of the one before it, so that the last
one vouches for the whole chain.  A file is written by the process that made it and by no other,
under a name that no other takes.  Whoever goes on from a position makes a file of its own; so a
chain has as many files as there were processes since it began.

Content is bytes; what they mean is not known here.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

SUFFIX = ".log"

_MAGIC = b"USHERSL1"
_FIELD_BYTES = 4

# A chain should begin anew when its differences have come to this many times its complete state:
# seldom enough that complete states are a small part of what is written, often enough for a quick
# start.  What is small may grow a little more.
_OUTGROWN = 4
_SMALL = 1 << 16
_MOST_FILES = 16

# Files that a chain has left behind are removed when this many epochs have closed.  The second of
# them began only when the positions of the first were stored.
_EPOCHS_KEPT = 3


class DamagedLog(Exception):
    """State files are not as they were when their position was stored."""


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """The first `length` bytes of a file."""

    name: str
    length: int


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a chain ends; `base` are the bytes of its complete state."""

    segments: tuple[Segment, ...]
    checksum: int
    base: int


class Chain:
    """A chain as its writer sees it.

    Args:
        folder: Where its files lie.
        name: What the names of its files begin with.
        owner: What tells the files of this process from those of others.
        position: From which to go on; without it, the first record must be a complete state.
    """

    def __init__(self, folder: Path, name: str, owner: str, position: Position | None) -> None:
        self.position = position
        self._folder = folder
        self._prefix = f"{name}.{owner}-"
        self._files = 0  # that were made
        self._goes_on = False  # in the file of the last record
        self._left_behind: list[str] = []
        self._epochs = 0  # that have closed since the chain began

    @property
    def growth(self) -> float:
        """How near the chain is to where it should begin anew; that is at 1."""
        if self.position is None:
            return 0.0
        if len(self.position.segments) >= _MOST_FILES:
            return 1.0
        total = sum(segment.length for segment in self.position.segments)
        return (total - self.position.base) / (_OUTGROWN * max(self.position.base, _SMALL))

    def add(self, content: bytes, *, complete: bool) -> bool:
        """Add a difference, or a complete state with which the chain begins anew.

        The record is durable then.  Returned is whether a file was made, whose name is not yet.

        Raises:
            OSError: the disk is full, or fails.
            DamagedLog: somebody else has written to the file.
        """
        if complete or self.position is None:
            assert complete
            self._begin_anew()
        segments = () if self.position is None else self.position.segments
        checksum = _checksum(content, 0 if self.position is None else self.position.checksum)
        record: tuple[bytes, ...] = (
            len(content).to_bytes(_FIELD_BYTES, "little"),
            checksum.to_bytes(_FIELD_BYTES, "little"),
            content,
        )
        makes_file = not self._goes_on
        if self._goes_on:
            last, segments = segments[-1], segments[:-1]
        else:
            self._files += 1
            last = Segment(f"{self._prefix}{self._files:06d}{SUFFIX}", 0)
            record = (_MAGIC, *record)
        length = _append(self._folder / last.name, last.length, record)
        self._goes_on = True
        base = len(content) if self.position is None else self.position.base
        self.position = Position((*segments, Segment(last.name, length)), checksum, base)
        return makes_file

    def close_epoch(self) -> bool:
        """Note that an epoch closes with the present position; to be called once each.

        Files that no stored epoch can need any more are removed.  Returned is whether the position
        of some epoch has been stored by now.
        """
        self._epochs += 1
        if self._epochs < _EPOCHS_KEPT:
            return False
        while self._left_behind:
            (self._folder / self._left_behind.pop()).unlink(missing_ok=True)
        return True

    def _begin_anew(self) -> None:
        if self.position is not None:
            self._left_behind += [segment.name for segment in self.position.segments]
        self.position = None
        self._goes_on = False
        self._epochs = 0


def read_chain(folder: Path, position: Position) -> list[bytes]:
    """The content of a chain's records up to a position.

    Raises:
        DamagedLog: see there.
    """
    contents: list[bytes] = []
    checksum = 0
    for segment in position.segments:
        for content, stored in _records(folder, segment):
            checksum = _checksum(content, checksum)
            if stored != checksum:
                raise DamagedLog(f"{segment.name} does not match its checksum")
            contents.append(content)
    if checksum != position.checksum or len(contents[0]) != position.base:
        raise DamagedLog(f"{position.segments[-1].name} does not end as it did")
    return contents


def _records(folder: Path, segment: Segment) -> Iterator[tuple[bytes, int]]:
    """The content and the checksum of each record of a file."""
    data = _first_bytes(folder, segment)
    place = len(_MAGIC)
    while place < segment.length:
        fields = [data[at : at + _FIELD_BYTES] for at in (place, place + _FIELD_BYTES)]
        size, checksum = (int.from_bytes(field, "little") for field in fields)
        begin = place + 2 * _FIELD_BYTES
        place = begin + size
        if place > segment.length:
            raise DamagedLog(f"{segment.name} has a record that does not end")
        yield data[begin:place], checksum


def _first_bytes(folder: Path, segment: Segment) -> bytes:
    try:
        with (folder / segment.name).open("rb") as file:
            data = file.read(segment.length)
    except FileNotFoundError:
        raise DamagedLog(f"{segment.name} is missing") from None
    if len(data) < segment.length:
        raise DamagedLog(f"{segment.name} has {len(data):,} bytes instead of {segment.length:,}")
    if not data.startswith(_MAGIC):
        raise DamagedLog(f"{segment.name} is no state file, or one of another format version")
    return data


def _checksum(content: bytes, before: int) -> int:
    return zlib.crc32(content, zlib.crc32(len(content).to_bytes(_FIELD_BYTES, "little"), before))


def _append(path: Path, length: int, parts: Iterable[bytes]) -> int:
    """Add bytes to a file of that length, made if it is 0; return its new length."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    if not length:
        flags |= os.O_CREAT | os.O_EXCL
    with _named(path), _opened(path, flags) as descriptor:
        if os.fstat(descriptor).st_size != length:
            raise DamagedLog(f"{path.name} was written to by somebody else")
        rest = memoryview(b"".join(parts))
        while rest:
            written = os.write(descriptor, rest)
            rest = rest[written:]
            length += written
        os.fdatasync(descriptor)
    return length


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let errors say which file they are about."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
