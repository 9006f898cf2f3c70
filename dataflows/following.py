"""Followed sources as one Bytewax source: polled in turn, resumed where they were."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from dataflows.pauses import AT_ONCE, Pauses
from dataflows.seals import sealed, unsealed

# How often the silence of a source that has nothing new is reported, so that time goes on.
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
    """What one source delivered; it was asked at `now`, and had answered at `read_at`.

    `caught_up` if there is no more for the moment; `reached` as the source says.
    """

    source: str
    chunks: Sequence[Chunk]
    caught_up: bool
    now: int
    read_at: int
    reached: int | None = None


class FollowedSource(FixedPartitionedSource[Polled, bytes]):
    """All sources of a job, as one partition.

    It ends when `stop` is set, and when a source cannot be read, which `failed` is told.
    """

    def __init__(
        self,
        sources: Mapping[str, OpenSource],
        stop: threading.Event,
        failed: Callable[[Exception], None],
    ) -> None:
        self._sources = sources
        self._stop = stop
        self._failed = failed

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
        return _FollowedPartition(followed, self._stop, self._failed)


class _FollowedPartition(StatefulSourcePartition[Polled, bytes]):
    def __init__(
        self,
        sources: Mapping[str, Followed],
        stop: threading.Event,
        failed: Callable[[Exception], None],
    ) -> None:
        self._sources = sources
        self._stop = stop
        self._failed = failed
        self._reported = dict.fromkeys(sources, 0)
        self._pauses = Pauses(stop)

    @override
    def next_batch(self) -> list[Polled]:
        if self._pauses.go_on():
            return []
        if self._stop.is_set():
            raise StopIteration
        batch = []
        idle = True
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
                read_at = wall_clock()  # so nothing that was read has arrived later
                batch.append(Polled(key, chunks, source.caught_up, now, read_at, source.reached))
            idle &= not chunks
        self._pauses.polled(idle=idle, delivered=bool(batch))
        return batch

    @override
    def next_awake(self) -> datetime:
        return AT_ONCE

    @override
    def snapshot(self) -> bytes:
        positions = {key: source.position() for key, source in self._sources.items()}
        return sealed(msgspec.msgpack.encode(positions))

    @override
    def close(self) -> None:
        for source in self._sources.values():
            source.close()
