"""Where reading begins in each partition, and whether what comes next is still there."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from audience_dsl.instants import read_instant
from connectors.sources.errors import SourceError
from connectors.sources.positions import Position, recorded_position

EARLIEST = "earliest"
LATEST = "latest"

# Seconds that the brokers may take to tell about one partition.
_PATIENCE = 30.0
_PAUSE = 0.2
_PASSING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TRANSPORT,  # noqa: SLF001
}
_VERSION = 1
_MILLISECOND = 1_000
# Earlier than any arrival.
NOTHING_YET = -(1 << 62)


class Mark(msgspec.Struct):
    """How far a partition has been read: its next offset, and the latest arrival before it."""

    next: int
    latest: int = NOTHING_YET


class TopicPosition(Position, frozen=True):
    """How far a topic has been read.  `topic_id` changes when a topic is deleted and made anew."""

    topic: str
    topic_id: str
    marks: dict[int, Mark]


def encode_position(topic: str, topic_id: str, marks: Mapping[int, Mark]) -> bytes:
    return msgspec.json.encode(TopicPosition(_VERSION, topic, topic_id, dict(marks)))


def decode_position(position: bytes, topic: str, topic_id: str) -> dict[int, Mark]:
    """The marks of a position of this topic.

    Raises:
        SourceError: it is damaged, or another topic's.
    """
    read = read_position(position, topic)
    if read.topic != topic:
        raise SourceError(
            f"the job's state was stored while the source read topic '{read.topic}', not "
            f"'{topic}'; start with --rebuild to count anew"
        )
    if read.topic_id != topic_id:
        raise made_anew(topic)
    return read.marks


def furthest(found: Iterable[Mapping[int, Mark]]) -> dict[int, Mark]:
    """Of each partition the mark that is furthest on."""
    marks: dict[int, Mark] = {}
    for some in found:
        for partition, mark in some.items():
            if partition not in marks or mark.next > marks[partition].next:
                marks[partition] = mark
    return marks


def read_position(position: bytes, topic: str) -> TopicPosition:
    """What a source that reads this topic has recorded, of whichever topic it was.

    Raises:
        SourceError: it is damaged.
    """
    return recorded_position(position, TopicPosition, _VERSION, f"in topic '{topic}'")


def made_anew(topic: str) -> SourceError:
    return SourceError(
        f"topic '{topic}' has been deleted and made anew since the job read it; start with "
        "--rebuild to count anew from what it holds now"
    )


def bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The first offset that a partition still has, and the one that its next message will get.

    They are asked for one by one: where the client asks for both and one answer fails, it may take
    the other for both (librdkafka 2.16).

    Raises:
        SourceError: the brokers do not tell.
    """
    low = _offsets(consumer, topic, [partition], OFFSET_BEGINNING)
    high = _offsets(consumer, topic, [partition], OFFSET_END)
    return low[partition], high[partition]


def _offsets(
    consumer: Consumer, topic: str, partitions: Iterable[int], when: int
) -> dict[int, int]:
    """The offset of each partition at a time in milliseconds, or at one of its ends."""
    asked = [TopicPartition(topic, one, when) for one in partitions]
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _told(consumer.offsets_for_times(asked, _PATIENCE))
        except KafkaException as error:
            # While a partition changes its leader, the client asks again, but not always.
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                raise _untold(topic, error) from error
            time.sleep(_PAUSE)


def _told(found: Iterable[TopicPartition]) -> dict[int, int]:
    offsets = {}
    for one in found:
        if one.error is not None:
            raise KafkaException(one.error)
        offsets[one.partition] = one.offset
    return offsets


def first_marks(
    consumer: Consumer, topic: str, partitions: Iterable[int], start: str
) -> dict[int, Mark]:
    """Where a job begins that has no position: `earliest`, `latest`, or from an instant on.

    Raises:
        SourceError: the brokers do not tell, or `start` is none of these.
    """
    edges = {one: bounds(consumer, topic, one) for one in partitions}
    if start == EARLIEST:
        return {one: Mark(low) for one, (low, _high) in edges.items()}
    if start == LATEST:
        return {one: Mark(high) for one, (_low, high) in edges.items()}
    instant = read_instant(start)
    if instant is None:
        raise SourceError(f"'start' is {EARLIEST}, {LATEST} or an instant, not '{start}'")
    ends = past_ends(consumer, topic, edges, instant)
    return {one: Mark(end) for one, end in ends.items()}


def past_ends(
    consumer: Consumer, topic: str, partitions: Iterable[int], instant: int
) -> dict[int, int]:
    """The offset of the first message of each partition that arrived at an instant or later.

    Where nothing is as young as that, it is that of what comes next.

    Raises:
        SourceError: the brokers do not tell.
    """
    numbers = list(partitions)
    if not numbers:
        return {}
    ends = _offsets(consumer, topic, numbers, OFFSET_END)
    found = _offsets(consumer, topic, numbers, -(-instant // _MILLISECOND))
    return {one: offset if offset >= 0 else ends[one] for one, offset in found.items()}


def _untold(topic: str, error: KafkaException) -> SourceError:
    return SourceError(f"the brokers do not tell the offsets of topic '{topic}': {error.args[0]}")
