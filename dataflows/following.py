"""Followed sources as one Bytewax source: polled in turn, resumed where they were."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from dataflows.recalling import Histories, Recalled
from dataflows.seals import sealed, unsealed

# How often a source that has nothing new is asked again, and how often its silence is reported,
# so that time goes on.
_POLL = timedelta(milliseconds=10)
_TICK = 50_000

# Bytes taken from a source at once: enough to be fast, few enough to stay timely.
_BYTES = 1 << 20

_PARTITION = "all"


def wall_clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


class Followed(Protocol):
    """A source that is read as it grows.

    One that is not caught up has delivered all that arrived before `reached`; where a source cannot
    tell, that is its latest arrival.
    """

    caught_up: bool

    @property
    def reached(self) -> int | None: ...

    def poll(self, limit: int) -> list[Chunk]: ...

    def position(self) -> bytes: ...

    def close(self) -> None: ...


# Opens a source where an earlier job stopped reading it, or at its beginning.
OpenSource = Callable[[bytes | None], Followed]


@dataclass(frozen=True, slots=True)
class Polled:
    """What one source delivered at `now`.

    `caught_up` if there is no more for the moment; `reached` as the source says.  Where it is of
    its history, nothing counts but what is `recalled`.
    """

    source: str
    chunks: Sequence[Chunk]
    caught_up: bool
    now: int
    reached: int | None = None
    recalled: Recalled | None = None


# Opens the histories that are to be recalled before positions.
OpenHistories = Callable[[Mapping[str, bytes]], Histories]


class FollowedSource(FixedPartitionedSource[Polled, bytes]):
    """All sources of a job, as one partition.

    It ends when `stop` is set, and when a source cannot be read, which `failed` is told.  Histories
    are read beside them; or before anything else, if they come `first`.
    """

    def __init__(
        self,
        sources: Mapping[str, OpenSource],
        stop: threading.Event,
        failed: Callable[[Exception], None],
        histories: OpenHistories | None = None,
        *,
        first: bool = False,
    ) -> None:
        self._sources = sources
        self._stop = stop
        self._failed = failed
        self._histories = histories
        self._first = first

    @override
    def list_parts(self) -> list[str]:
        return [_PARTITION]

    @override
    def build_part(
        self, step_id: str, for_part: str, resume_state: bytes | None
    ) -> StatefulSourcePartition[Polled, bytes]:
        positions: dict[str, bytes] = {}
        if resume_state is not None:
            positions = msgspec.msgpack.decode(unsealed(resume_state), type=dict[str, bytes])
        followed = {key: open_(positions.get(key)) for key, open_ in self._sources.items()}
        histories = None if self._histories is None else self._histories(positions)
        return _FollowedPartition(followed, self._stop, self._failed, histories, self._first)


class _FollowedPartition(StatefulSourcePartition[Polled, bytes]):
    def __init__(
        self,
        sources: Mapping[str, Followed],
        stop: threading.Event,
        failed: Callable[[Exception], None],
        histories: Histories | None,
        first: bool,
    ) -> None:
        self._sources = sources
        self._stop = stop
        self._failed = failed
        self._histories = histories
        self._first = first
        self._reported = dict.fromkeys(sources, 0)
        self._idle = False

    @override
    def next_batch(self) -> list[Polled]:
        if self._stop.is_set():
            raise StopIteration
        batch = self._recalled()
        self._idle = not batch
        if self._histories is not None and self._first:
            return batch
        for key, source in self._sources.items():
            # The clock is read first: what is read after it has arrived by then or later.
            now = wall_clock()
            try:
                chunks = source.poll(_BYTES)
            except (SourceError, OSError) as error:
                self._failed(error)
                self._stop.set()
                break
            if chunks or now - self._reported[key] >= _TICK:
                self._reported[key] = now
                batch.append(Polled(key, chunks, source.caught_up, now, source.reached))
            self._idle &= not chunks
        return batch

    def _recalled(self) -> list[Polled]:
        """A piece of the histories."""
        if self._histories is None:
            return []
        recalled = self._histories.poll()
        if self._histories.ended:
            self._histories = None
        if recalled is None:
            return []
        return [Polled(recalled.source, (), False, wall_clock(), None, recalled)]

    @override
    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + _POLL if self._idle else None

    @override
    def snapshot(self) -> bytes:
        positions = {key: source.position() for key, source in self._sources.items()}
        return sealed(msgspec.msgpack.encode(positions))

    @override
    def close(self) -> None:
        if self._histories is not None:
            self._histories.close()
        for source in self._sources.values():
            source.close()
