"""Followed sources as a Bytewax source: each share's polled in turn, resumed where they were.

Bytewax keeps what each share had come to and gives it back to the same share.  But how many shares
there are may change, and with it who reads what.  So what all of them had come to is read before
the flow starts, and every share is given all of it.  Bytewax insists that somebody takes on
whatever it has kept: the first share does, for those that are no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from connectors.sources.source import Followed
from connectors.wall_clock import wall_clock
from dataflows.meetings import Meeting
from dataflows.pauses import AT_ONCE, Pauses
from dataflows.recalling import Histories, Recalled
from dataflows.seals import BrokenSeal, sealed, unsealed
from dataflows.shares import Share, share_names
from dataflows.threads import keep_thread_state

# How often the silence of a source that has nothing new is reported, so that time goes on.
_TICK = 50_000

# Bytes taken from a source at once: enough to be fast, few enough to stay timely.  More where what
# was read goes to other processes: then every key group's part of it is a message of its own.
_BYTES = 1 << 20
_BYTES_FOR_OTHERS = 1 << 22


# Opens a source where an earlier job stopped reading it, as each of its shares has told; at its
# beginning if none has.
OpenSource = Callable[[Sequence[bytes]], Followed]


class StoredShare(msgspec.Struct, frozen=True):
    """What is stored of a share when an epoch closes: how far it has read each of its sources."""

    count: int  # of shares
    positions: dict[str, bytes]
    is_final: bool = False  # it has stopped reading; other shares may have gone on a little longer

    def to_bytes(self) -> bytes:
        return sealed(msgspec.msgpack.encode(self))

    @classmethod
    def from_bytes(cls, stored: bytes) -> StoredShare:
        """Read what `to_bytes` has written.

        Raises:
            BrokenSeal: see there.
        """
        try:
            return msgspec.msgpack.decode(unsealed(stored), type=cls)
        except msgspec.MsgspecError as error:
            raise BrokenSeal(f"a stored share cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Polled:
    """What one source delivered; it was asked at `now`, and had answered at `read_at`.

    `caught_up` if there is no more for the moment; `reached` as the source says.  Where it is of
    its history, nothing counts but what is `recalled`.
    """

    source: str
    chunks: Sequence[Chunk]
    caught_up: bool
    now: int
    read_at: int
    reached: int | None = None
    recalled: Recalled | None = None


def _nothing() -> None:
    """Nobody wants to know."""


# Opens the histories that are to be recalled before positions.
OpenHistories = Callable[[Mapping[str, Sequence[bytes]]], Histories]


class FollowedSource(FixedPartitionedSource[Polled, bytes]):
    """The sources of a share, as one partition.

    It ends when `stop` is set, and when a source cannot be read, which `failed` is told.  Histories
    are read beside the sources; or before anything else, if they come `first`.

    Args:
        stored: What all shares had come to when state was stored, by name; `None` where nobody has
            looked, and what Bytewax gives back is all there is.
        begin: Where the shares meet before they read anything.
        closes: Called whenever an epoch closes.
    """

    def __init__(
        self,
        share: Share,
        sources: Mapping[str, OpenSource],
        stored: Mapping[str, StoredShare] | None,
        begin: Meeting,
        stop: threading.Event,
        failed: Callable[[Exception], None],
        histories: OpenHistories | None = None,
        closes: Callable[[], None] = _nothing,
        *,
        first: bool = False,
    ) -> None:
        self._share = share
        self._sources = sources
        self._stored = stored
        self._begin = begin
        self._stop = stop
        self._failed = failed
        self._histories = histories
        self._closes = closes
        self._first = first

    @override
    def list_parts(self) -> list[str]:
        if self._share.number or self._stored is None:
            return [self._share.name]
        return [self._share.name, *sorted(self._stored.keys() - share_names(self._share.count))]

    @override
    def build_part(
        self, step_id: str, for_part: str, resume_state: bytes | None
    ) -> StatefulSourcePartition[Polled, bytes]:
        keep_thread_state()
        followed: dict[str, Followed] = {}
        histories: Histories | None = None
        may_begin = partial(self._begin.attend, for_part)
        if for_part == self._share.name:
            shares = self._stored
            if shares is None:
                shares = {for_part: StoredShare.from_bytes(resume_state)} if resume_state else {}
            found = [shares[name].positions for name in sorted(shares)]
            keys = {key for positions in found for key in positions}
            told = {key: [one[key] for one in found if key in one] for key in keys}
            followed = {key: open_(told.get(key, [])) for key, open_ in self._sources.items()}
            if self._histories is not None:
                histories = self._histories(told)
        return _FollowedPartition(
            self._share.count,
            followed,
            may_begin,
            self._stop,
            self._failed,
            histories,
            self._closes,
            first=self._first,
        )


class _FollowedPartition(StatefulSourcePartition[Polled, bytes]):
    def __init__(
        self,
        count: int,
        sources: Mapping[str, Followed],
        may_begin: Callable[[], bool],
        stop: threading.Event,
        failed: Callable[[Exception], None],
        histories: Histories | None,
        closes: Callable[[], None],
        *,
        first: bool,
    ) -> None:
        self._count = count
        self._limit = _BYTES if count == 1 else _BYTES_FOR_OTHERS
        self._sources = sources
        self._may_begin = may_begin
        self._stop = stop
        self._failed = failed
        self._histories = histories
        self._closes = closes
        self._first = first
        self._reported = dict.fromkeys(sources, 0)
        self._has_ended = False
        self._pauses = Pauses(stop)

    @override
    def next_batch(self) -> list[Polled]:
        if self._pauses.go_on():
            return []
        if self._stop.is_set():
            self._has_ended = True
            raise StopIteration
        batch: list[Polled] = []
        if not self._may_begin():
            self._pauses.polled(has_all=True, delivered=False)
            return batch
        batch = self._recalled()
        has_all = not batch
        if self._histories is not None and self._first:
            self._pauses.polled(has_all=has_all, delivered=bool(batch))
            return batch
        for key, source in self._sources.items():
            # The clock is read first: what is read after it has arrived by then or later.
            now = wall_clock()
            try:
                chunks = source.poll(self._limit)
            except (SourceError, OSError) as error:
                self._failed(error)
                self._stop.set()
                break
            if chunks or now - self._reported[key] >= _TICK:
                self._reported[key] = now
                read_at = wall_clock()  # so nothing that was read has arrived later
                batch.append(Polled(key, chunks, source.caught_up, now, read_at, source.reached))
            has_all &= not chunks or source.caught_up
        self._pauses.polled(has_all=has_all, delivered=bool(batch))
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
        now = wall_clock()
        return [Polled(recalled.source, (), False, now, now, None, recalled)]

    @override
    def next_awake(self) -> datetime:
        return AT_ONCE

    @override
    def snapshot(self) -> bytes:
        self._closes()
        positions = {key: source.position() for key, source in self._sources.items()}
        return StoredShare(self._count, positions, self._has_ended).to_bytes()

    @override
    def close(self) -> None:
        if self._histories is not None:
            self._histories.close()
        for source in self._sources.values():
            source.close()
