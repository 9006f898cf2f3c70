"""Where reading begins in each partition, and whether what comes next is still there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from audience_dsl.instants import read_instant
from connectors.sources.errors import SourceError

EARLIEST = "earliest"
LATEST = "latest"

# Seconds that the brokers may take to tell about one partition.
_PATIENCE = 30.0
_VERSION = 1
_MILLISECOND = 1_000
# Earlier than any arrival.
NOTHING_YET = -(1 << 62)


class Mark(msgspec.Struct):
    """How far a partition has been read: its next offset, and the latest arrival before it."""

    next: int
    latest: int = NOTHING_YET


class Position(msgspec.Struct):
    """How far a topic has been read.  `topic_id` changes when a topic is deleted and made anew."""

    version: int
    topic: str
    topic_id: str
    marks: dict[int, Mark]


def encode_position(topic: str, topic_id: str, marks: Mapping[int, Mark]) -> bytes:
    return msgspec.json.encode(Position(_VERSION, topic, topic_id, dict(marks)))


def decode_position(position: bytes, topic: str, topic_id: str) -> dict[int, Mark]:
    """The marks of a position of this topic.

    Raises:
        SourceError: it is damaged, or another topic's.
    """
    read = read_position(position, topic)
    if read.topic != topic:
        raise SourceError(
            f"the job's state was stored while the source read topic '{read.topic}', not "
            f"'{topic}'; start with --fresh to count anew"
        )
    if read.topic_id != topic_id:
        raise made_anew(topic)
    return read.marks


def read_position(position: bytes, topic: str) -> Position:
    """What a source that reads this topic has recorded, of whichever topic it was.

    Raises:
        SourceError: it is damaged.
    """
    try:
        read = msgspec.json.decode(position, type=Position)
    except msgspec.MsgspecError as error:
        raise SourceError(f"the recorded position in topic '{topic}' is damaged") from error
    if read.version != _VERSION:
        raise SourceError(f"the recorded position in topic '{topic}' has version {read.version}")
    return read


def made_anew(topic: str) -> SourceError:
    return SourceError(
        f"topic '{topic}' has been deleted and made anew since the job read it; start with --fresh "
        "to count anew from what it holds now"
    )


def bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The first offset that a partition still has, and the one that its next message will get.

    Raises:
        SourceError: the brokers do not tell.
    """
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), _PATIENCE)
    except KafkaException as error:
        raise _untold(topic, error) from error
    return low, high


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
    return marks_from(consumer, topic, edges, instant)


def marks_from(
    consumer: Consumer, topic: str, edges: Mapping[int, tuple[int, int]], instant: int
) -> dict[int, Mark]:
    """Where the messages of an instant and later begin, by partition.

    Raises:
        SourceError: the brokers do not tell.
    """
    asked = [TopicPartition(topic, one, -(-instant // _MILLISECOND)) for one in edges]
    try:
        found = consumer.offsets_for_times(asked, _PATIENCE)
    except KafkaException as error:
        raise _untold(topic, error) from error
    # Where nothing is as young as that, reading begins with what comes next.
    return {
        one.partition: Mark(one.offset if one.offset >= 0 else edges[one.partition][1])
        for one in found
    }


def _untold(topic: str, error: KafkaException) -> SourceError:
    return SourceError(f"the brokers do not tell the offsets of topic '{topic}': {error.args[0]}")
