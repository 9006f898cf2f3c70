"""What a log held when a job had read it up to some position: read once more.

Segments that were finished before an instant are passed over: what matters is later.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from connectors.collected.chunks import CollectedChunk, chunk_of, log_name
from connectors.collected.folder import read_manifest
from connectors.collected.position import read_marks
from connectors.collected.reading import FrameReader
from connectors.collected.segments import find_segments, segment_head
from connectors.sources.history import ALL_KNOWN

_BLOCK = 1 << 20


class CollectedHistory:
    """The records before the positions of shares that arrived at `since` or later.

    Raises:
        SourceError: the log is damaged, or a position is not of this log.
        OSError: it cannot be read.
    """

    def __init__(self, folder: Path, source: str, positions: Sequence[bytes], since: int) -> None:
        self._name = log_name(source)
        self.known_since = ALL_KNOWN
        """Nothing that was read later is missing."""
        self.lack = ""
        """Why something is missing, if it is."""
        self.done = self.size = 0
        """Bytes of the log."""
        self._frames: FrameReader | None = None
        manifest = read_manifest(folder)
        if manifest is None or not positions:
            return
        self._marks = read_marks(positions, manifest, folder)
        self._end = max(self._marks.values(), default=0)
        self._since = since
        segments = find_segments(folder)
        latest = [segment_head(one.path).latest for one in segments]
        if segments and segments[0].base > 0 and latest[0] >= since:
            self.known_since = latest[0]
            self.lack = "what came earlier is not kept any longer"
        first = max(bisect_left(latest, since) - 1, 0)
        begin = segments[first].base if segments else self._end
        self._frames = FrameReader(folder, manifest, begin)
        self.size = max(self._end - begin, 0)

    @property
    def ended(self) -> bool:
        return self.done >= self.size

    def poll(self) -> CollectedChunk | None:
        """The next records; `None` also where none of those that come next is asked for.

        Raises:
            SourceError: the log is damaged.
            OSError: it cannot be read.
        """
        if self._frames is None or self.ended:
            return None
        begun = self._frames.offset
        frames = self._frames.read(self._end, _BLOCK)
        self.done += self._frames.offset - begun
        young = [one for one in frames if one.arrival >= self._since]
        return chunk_of(self._name, young, lambda one, offset: offset < self._marks.get(one, 0))

    def close(self) -> None:
        """Let go of the log."""
        if self._frames is not None:
            self._frames.close()
