"""Frames of a log in their order, from segment to segment."""

from __future__ import annotations

import os
from pathlib import Path

from connectors.collected.errors import LogDamaged
from connectors.collected.folder import Manifest
from connectors.collected.frames import BrokenFrame, Frame
from connectors.collected.opening import ADVICE, damaged
from connectors.collected.segments import HEAD_SIZE, find_segments, read_frames, read_head


class FrameReader:
    """Reads on from `offset`."""

    def __init__(self, folder: Path, manifest: Manifest, offset: int) -> None:
        self._folder = folder
        self._manifest = manifest
        self._file: _OpenSegment | None = None
        self.offset = offset
        self.is_held = False
        """Whether the last read has stopped at a frame that arrived too late."""

    def read(self, end: int, limit: int, before: int | None = None) -> list[Frame]:
        """Frames that end at `end` or before: some `limit` bytes, and the one that goes beyond.

        If `before` is given, only such as arrived before that instant.

        Raises:
            LogDamaged: they are not as they were written.
            OSError: they cannot be read.
        """
        frames: list[Frame] = []
        self.is_held = False
        until = min(end, self.offset + limit)
        while self.offset < until and not self.is_held:
            file = self._file = self._file or self._open()
            stop = min(end, file.end)
            try:
                for frame in read_frames(file.descriptor, file.base, self.offset, stop):
                    if before is not None and frame.arrival >= before:
                        self.is_held = True
                        break
                    frames.append(frame)
                    self.offset = frame.end
                    if self.offset >= until:
                        break
            except BrokenFrame:
                raise damaged(file.path, self.offset - file.base) from None
            if self.offset == stop < end:
                self.close()  # the next begins where it ends
        return frames

    def close(self) -> None:
        """Let go of the file that is being read."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> _OpenSegment:
        """The file that has what comes next, which is behind its head if it begins there."""
        for segment in reversed(find_segments(self._folder)):
            if segment.base > self.offset:
                continue
            if segment.end < max(self.offset + 1, segment.base + HEAD_SIZE):
                raise damaged(segment.path, segment.end - segment.base)
            file = _OpenSegment(segment.path, segment.base)
            if read_head(file.descriptor, file.path).log != self._manifest.id_bytes:
                file.close()
                raise LogDamaged(f"{segment.path} belongs to another log; {ADVICE}")
            self.offset = max(self.offset, segment.base + HEAD_SIZE)
            return file
        raise LogDamaged(f"what comes next in {self._folder} is gone; {ADVICE}")


class _OpenSegment:
    def __init__(self, path: Path, base: int) -> None:
        self.path = path
        self.base = base
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def end(self) -> int:
        """Where it ends at this moment."""
        return self.base + os.fstat(self.descriptor).st_size

    def close(self) -> None:
        os.close(self.descriptor)


def first_place(folder: Path, end: int) -> int:
    """Where what is left of a log begins; at its `end` if nothing is."""
    segments = find_segments(folder)
    return segments[0].base if segments else end
