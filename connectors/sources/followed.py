"""Followed events: files that grow, folders that fill, and standard input.

A poll reads what has been added since the last one, and never waits.  A line counts once it has
its newline.  Files are known by what they are on disk, not by their names, so one that log rotation
renames is read to its end, and one that takes its name is read from the start; a file that has
become shorter, or begins otherwise than it did, has been written anew.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from connectors.sources.chunks import Chunk
from connectors.sources.cutting import BLOCK, LineCutter
from connectors.sources.errors import SourceError
from connectors.sources.positions import Position, recorded_position
from connectors.sources.recorded import is_complete, matching_files
from connectors.sources.tails import LONG_AGO, CompleteTail, GrowingTail, Mark

_MOST_OPEN = 100
_FILES_A_SCAN = 200  # with more files, folders are looked through less often
_LINGER = 500  # polls for which a file that has lost its name is kept when it has been read
_VERSION = 1

_Identity = tuple[int, int]


class FilesPosition(Position, frozen=True):
    """How far files have been read; those that are gone were last written by `gone`."""

    marks: list[Mark]
    gone: int = LONG_AGO


class FollowedFiles:
    """Follows the files that some paths stand for: files, folders, globs.

    A path may stand for nothing yet.  `position` is to be kept with whatever was made of the
    records; given back, reading goes on behind the last line that was delivered.

    Raises:
        SourceError: the position is not one of ours.
    """

    def __init__(self, patterns: Iterable[str | Path], position: bytes | None = None) -> None:
        self._patterns = [str(pattern) for pattern in patterns]
        read = read_position(position)
        self._marks = {(mark.device, mark.inode): mark for mark in read.marks}
        self._gone = read.gone
        self._next_number = 1 + max((mark.number for mark in self._marks.values()), default=-1)
        self._tails: dict[_Identity, GrowingTail | CompleteTail] = {}
        self._sizes: dict[_Identity, int] = {}
        self._lost: dict[_Identity, int] = {}
        self._named: set[_Identity] = set()  # at the last look
        self._read: set[_Identity] = set()  # to their end, by the last poll
        self._turn: _Identity | None = None
        self._polls = 0
        self.reached: int | None = None
        self.caught_up = False
        """Whether the last poll read everything that was there."""

    def poll(self, limit: int = BLOCK) -> list[Chunk]:
        """What has been added, up to `limit` bytes and a block more.

        Raises:
            SourceError: a file cannot be read.
        """
        if self._polls % (1 + len(self._tails) // _FILES_A_SCAN) == 0:
            self._scan()
        self._polls += 1
        self._read.clear()
        chunks: list[Chunk] = []
        read = 0
        self.caught_up = False
        for identity in self._in_turn():
            tail = self._tails[identity]
            size = tail.held_size()
            size = self._sizes[identity] if size is None else size
            try:
                while read < limit:
                    chunk = tail.poll(size)
                    if chunk is None:
                        self._read.add(identity)
                        break
                    read += chunk.size
                    if chunk.count:
                        chunks.append(chunk)
            except FileNotFoundError:
                self._read.add(identity)
                continue  # it vanished between being found and being opened
            except OSError as error:
                raise SourceError(f"cannot read {tail.path}: {error}") from error
            if read >= limit:
                self._turn = identity
                break
        else:
            self.caught_up = True
        self._close_some()
        return chunks

    def position(self) -> bytes:
        """What has been delivered so far."""
        marks = self._marks | {identity: tail.mark for identity, tail in self._tails.items()}
        return msgspec.json.encode(FilesPosition(_VERSION, list(marks.values()), self._gone))

    def close(self) -> None:
        """Let go of all files."""
        for tail in self._tails.values():
            tail.close()

    def _in_turn(self) -> list[_Identity]:
        """All files, from the one on that the last poll did not read to its end."""
        identities = list(self._tails)
        first = identities.index(self._turn) if self._turn in self._tails else 0
        return identities[first:] + identities[:first]

    def _scan(self) -> None:
        """Find new files, and those that have another name or none now."""
        found: set[_Identity] = set()
        for path in matching_files(self._patterns):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            identity = facts.st_dev, facts.st_ino
            is_new = identity not in self._tails
            if not stat.S_ISREG(facts.st_mode) or (is_new and facts.st_size == 0):
                continue
            found.add(identity)
            self._sizes[identity] = facts.st_size
            if is_new:
                self._tails[identity] = self._tail(path, identity)
            tail = self._tails[identity]
            tail.path = path
            if (modified := facts.st_mtime_ns // 1_000) != tail.mark.modified:
                tail.mark = msgspec.structs.replace(tail.mark, modified=modified)
        self._named = found
        if self._polls > _LINGER:  # these were gone when reading went on
            self._forget(self._marks.values())
            self._marks.clear()
        for identity in list(self._tails):
            is_over = identity not in found and identity in self._read
            self._lost[identity] = self._lost.get(identity, 0) + 1 if is_over else 0
            if self._lost[identity] > _LINGER:
                tail = self._tails.pop(identity)
                tail.close()
                self._forget([tail.mark])
                self._lost.pop(identity)

    def _forget(self, marks: Iterable[Mark]) -> None:
        """Keep of files that are gone when they were written for the last time."""
        self._gone = max([self._gone, *(max(one.modified, one.rewritten) for one in marks)])

    def _tail(self, path: Path, identity: _Identity) -> GrowingTail | CompleteTail:
        mark = self._marks.pop(identity, None)
        if mark is None:
            mark = Mark(*identity, self._next_number)
            self._next_number += 1
        try:
            with path.open("rb") as file:
                complete = is_complete(file.read(4))
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error}") from error
        return CompleteTail(path, mark) if complete else GrowingTail(path, mark)

    def _close_some(self) -> None:
        still_named = [
            tail
            for identity, tail in self._tails.items()
            if tail.is_open and identity in self._named
        ]
        for tail in still_named[: max(0, len(still_named) - _MOST_OPEN)]:
            tail.close()


class FollowedInput:
    """Follows a pipe or terminal, by default standard input; it cannot be read a second time."""

    def __init__(self, descriptor: int = 0, name: str = "standard input") -> None:
        self._descriptor = descriptor
        self._cutter = LineCutter(name, 0)
        self.reached: int | None = None
        self.caught_up = False
        self.ended = False
        """Whether the other side has closed; there will be nothing more."""

    def poll(self, limit: int = BLOCK) -> list[Chunk]:
        """What has come, up to `limit` bytes and a block more."""
        chunks: list[Chunk] = []
        read = 0
        while read < limit and not self.ended:
            self.caught_up = not select.select([self._descriptor], [], [], 0)[0]
            if self.caught_up:
                break
            chunk = self._cutter.read(self._read_into)
            self.ended = chunk is None
            chunk = chunk or self._cutter.finish()
            if chunk is not None:
                read += chunk.size
                if chunk.count:
                    chunks.append(chunk)
        self.caught_up = self.caught_up or self.ended
        return chunks

    def position(self) -> bytes:
        """Nothing: what was read is gone."""
        return b""

    def close(self) -> None:
        """It is not ours."""

    def _read_into(self, buffer: memoryview) -> int:
        return os.readv(self._descriptor, [buffer])


def read_position(position: bytes | None) -> FilesPosition:
    """What `FollowedFiles.position` said.

    Raises:
        SourceError: it is damaged, or not of this version.
    """
    if not position:
        return FilesPosition(_VERSION, [])
    return recorded_position(position, FilesPosition, _VERSION, "of the files")
