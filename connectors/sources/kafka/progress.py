"""How far each partition of a topic has been read, and what may be delivered next.

What arrived before the job started is the past, and is delivered first, of all partitions.  What
has come since waits, so that no partition is still in the past when another is in the present.  It
is thrown away when it comes, and read again when the past has been left: a client that is told to
pause would do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from confluent_kafka import Message

from connectors.sources.kafka.offsets import Mark
from connectors.wall_clock import wall_clock
from engine.plan import Int64s

_MILLISECOND = 1_000


class Columns(NamedTuple):
    """Where each of some messages is, and when it arrived."""

    partitions: Int64s
    offsets: Int64s
    arrivals: Int64s


class Progress:
    """`marks` are those of what has been delivered."""

    def __init__(self) -> None:
        self.marks: dict[int, Mark] = {}
        self._past: dict[int, int] | None = None  # where it ends, for partitions still in it
        self._started = 0
        self._at_end: set[int] = set()

    def begin(self, marks: Mapping[int, Mark], past: Mapping[int, int], started: int) -> None:
        """`past` is where each partition's past ends, which is what arrived before `started`."""
        self.marks = dict(marks)
        self._past = dict(past)
        self._started = started

    def waiting_from(self) -> dict[int, int]:
        """The first offset of each partition that has to wait; none if the past has been left."""
        if self._past is None:
            return {}
        return {one: self._past.get(one, mark.next) for one, mark in self.marks.items()}

    def may_leave_past(self) -> bool:
        """Whether the past has not been left, but all of it has been delivered."""
        if self._past is None:
            return False
        self._past = {
            one: end
            for one, end in self._past.items()
            if one in self.marks and self.marks[one].next < end
        }
        return not self._past

    def leave_past(self) -> None:
        self._past = None

    def deliver(self, messages: Sequence[Message], known_end: Callable[[int], int]) -> Columns:
        """Take note of messages that are being delivered, and give them their arrivals.

        A message arrives at its timestamp, but never before the one before it, and not in the
        future: that is now.  `known_end` is the end of a partition as far as it is known.
        """
        count = len(messages)
        partitions = np.fromiter((one.partition() for one in messages), np.int64, count)
        offsets = np.fromiter((one.offset() for one in messages), np.int64, count)
        stamps = np.fromiter((one.timestamp()[1] for one in messages), np.int64, count)
        now = wall_clock()
        known = (stamps >= 0) & (stamps <= now // _MILLISECOND)
        arrivals = np.where(known, stamps, 0) * _MILLISECOND
        arrivals[~known] = now
        for partition in np.unique(partitions).tolist():
            mark = self.marks[partition]
            rows = np.flatnonzero(partitions == partition)
            own = arrivals[rows]
            own[0] = max(int(own[0]), mark.latest)
            arrivals[rows] = np.maximum.accumulate(own, out=own)
            mark.latest = int(own[-1])
            mark.next = int(offsets[rows[-1]]) + 1
            self._at_end.discard(partition)
            if mark.next >= known_end(partition) >= 0:
                self._at_end.add(partition)
        return Columns(partitions, offsets, arrivals)

    def ends(self, partition: int, offset: int) -> None:
        """The partition ends here; what lies before is no message, such as a transaction's end."""
        mark = self.marks[partition]
        if offset >= mark.next:
            mark.next = offset
            self._at_end.add(partition)

    def restarted(self) -> None:
        """All partitions are fetched anew; their ends will be told again."""
        self._at_end.clear()

    def behind(self, *, is_doubtful: bool) -> list[int]:
        """Instants up to which all has been delivered, for what may have more.

        All partitions may if it is doubtful what the brokers have.
        """
        if is_doubtful:
            return [mark.latest for mark in self.marks.values()]
        if self._past:
            return [self.marks[one].latest for one in self._past]
        if self._past is not None:
            return [self._started]
        return [mark.latest for one, mark in self.marks.items() if one not in self._at_end]
