"""Messages of a topic as one chunk, whichever partitions they come from.

One chunk a poll, not one a partition: what follows costs the same for each chunk, however few
records are in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from confluent_kafka import Message

from connectors.sources.chunks import LONGEST_LINE, Chunk, DeadLetter, Lines, excerpt
from engine.plan import Int64s


def _none() -> Int64s:
    return np.empty(0, dtype=np.int64)


@dataclass
class Messages(Chunk):
    """Values of messages, and where each of them is: partition and offset.

    `tombstones` is the number of messages without a value.  They delete a key from a compacted
    topic and report no event, so they are received and ignored.
    """

    bounds: Lines | None = field(default=None, repr=False)
    partitions: Int64s = field(default_factory=_none, repr=False)
    offsets: Int64s = field(default_factory=_none, repr=False)
    tombstones: int = 0

    @cached_property
    def lines(self) -> Lines:
        assert self.bounds is not None
        return self.bounds

    @property
    def count(self) -> int:
        return len(self.lines.starts) + self.tombstones + len(self.dead_letters)

    def line_numbers(self, places: Int64s) -> Int64s:
        return self.offsets[places]

    def dead_letter(self, place: int, reason: str) -> DeadLetter:
        partition, offset = int(self.partitions[place]), int(self.offsets[place])
        return DeadLetter(_place(self.file, partition), offset, reason, excerpt(self.line(place)))


def chunk_of(
    topic: str, messages: Sequence[Message], partitions: Int64s, offsets: Int64s, arrivals: Int64s
) -> Messages:
    """The chunk of some messages; the columns tell where each is and when the broker had it.

    A dead letter's `file` is `topic/partition`, its `line` the offset.
    """
    values: list[bytes] = []
    kept: list[int] = []
    letters: list[DeadLetter] = []
    size = 0
    for i, message in enumerate(messages):
        value = message.value()
        if value is None:
            continue
        size += len(value)
        if len(value) > LONGEST_LINE:
            place = _place(topic, int(partitions[i]))
            reason = f"longer than {LONGEST_LINE:,} bytes"
            letters.append(DeadLetter(place, int(offsets[i]), reason, excerpt(value)))
            continue
        # The scanner takes a newline for the end of a record; between tokens it is a space, too.
        values.append(value.strip(b" \r\n").replace(b"\n", b" "))
        kept.append(i)
    data = np.frombuffer(bytearray(b"\n").join([*values, b""]), dtype=np.uint8)
    lengths = np.array([len(value) for value in values], dtype=np.int64)
    ends = np.cumsum(lengths + 1) - 1
    starts = ends - lengths
    return Messages(
        file=topic,
        number=0,
        first_line=0,
        data=data,
        dead_letters=tuple(letters),
        size=size,
        arrivals=arrivals[kept],
        bounds=Lines(starts, ends, np.arange(len(values))),
        partitions=partitions[kept],
        offsets=offsets[kept],
        tombstones=len(messages) - len(values) - len(letters),
    )


def _place(topic: str, partition: int) -> str:
    return f"{topic}/{partition}"
