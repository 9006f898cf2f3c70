"""What a topic held when a job had read it up to some position: read once more, from an instant on.

A message that arrived at an instant or later lies behind the first one that the brokers find for
it, since an arrival is the greatest timestamp so far.  So nothing is read that cannot matter.
"""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from audience_dsl.definitions import Settings
from connectors.kafka.connection import Connection, Tell
from connectors.kafka.settings import KafkaRefused, properties
from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from connectors.sources.history import ALL_KNOWN
from connectors.sources.kafka.messages import chunk_of
from connectors.sources.kafka.offsets import Mark, bounds, furthest, past_ends, read_position
from connectors.sources.kafka.progress import Progress

_AT_ONCE = 2_000  # messages

_GONE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001


class KafkaHistory:
    """The messages before the positions of shares that arrived at `since` or later.

    Raises:
        SourceError: the brokers cannot be reached, or a position is not one of ours.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        tell: Tell,
        positions: Sequence[bytes],
        since: int,
    ) -> None:
        self._connection = Connection(settings, f"source '{settings.key}'", tell)
        self._topic = self._connection.topic
        self._since = since
        self._progress = Progress()
        self._cut: set[int] = set()  # partitions that begin with whatever is not deleted
        self.known_since = ALL_KNOWN
        """Nothing that was read later is missing."""
        self.done = 0
        """Of `size`: offsets."""
        own = {
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "group.id": str(settings.options.get("group", group)),
            "error_cb": self._connection.heard,
        }
        try:
            self._read = furthest(read_position(one, self._topic).marks for one in positions)
            self._consumer = Consumer(properties(settings, own, {"client.id": "usher"}))
            marks: dict[int, Mark] = {}
            if self._read:
                self._connection.await_topic(self._consumer)
                edges = {one: bounds(self._consumer, self._topic, one) for one in self._read}
                begins = past_ends(self._consumer, self._topic, edges, since)
                marks = {one: Mark(offset) for one, offset in begins.items()}
                self._cut = {one for one in marks if 0 < marks[one].next <= edges[one][0]}
        except (KafkaRefused, SourceError) as error:
            raise SourceError(self._connection.problem(str(error))) from error
        except KafkaException as error:
            what = self._connection.said(error.args[0])
            raise SourceError(self._connection.problem(what)) from error
        self._progress.begin(marks, {}, 0)
        self._unread = set(marks)
        for partition in marks:
            self._look_whether_done(partition)
        self.size = sum(self._read[one].next - marks[one].next for one in self._unread)
        self._assign()

    @property
    def ended(self) -> bool:
        return not self._unread

    @property
    def lack(self) -> str:
        """Why something is missing, if it is."""
        return "" if self.known_since == ALL_KNOWN else "older messages are deleted"

    def poll(self) -> Chunk | None:
        """What has come, if anything.

        Raises:
            SourceError: the topic cannot be read.
        """
        messages: list[Message] = []
        for message in self._consumer.consume(_AT_ONCE, 0):
            partition, offset = message.partition() or 0, message.offset() or 0
            error = message.error()
            if partition not in self._unread:
                continue
            if error is not None:
                self._note(partition, error)
            elif offset < self._read[partition].next:
                messages.append(message)
            else:
                self._progress.marks[partition].next = offset
        if self._connection.failure:
            raise SourceError(self._connection.failure)
        chunk = self._delivered(messages) if messages else None
        for partition in list(self._unread):
            self._look_whether_done(partition)
        return chunk

    def close(self) -> None:
        """Leave."""
        # Closing would wait for brokers that are out of reach; there is no group to leave.
        self._consumer.unassign()
        del self._consumer

    def _delivered(self, messages: list[Message]) -> Chunk:
        columns = self._progress.deliver(messages, lambda _partition: -1)
        for partition in self._cut.intersection(columns.partitions.tolist()):
            self._know_since(int(columns.arrivals[columns.partitions == partition][0]))
            self._cut.discard(partition)
        self.done += len(messages)
        return chunk_of(self._topic, messages, *columns)

    def _know_since(self, instant: int) -> None:
        if instant > self._since:
            self.known_since = max(self.known_since, instant)

    def _look_whether_done(self, partition: int) -> None:
        end = self._read[partition]
        if self._progress.marks[partition].next >= end.next:
            if partition in self._cut:  # nothing is left of what was read
                self._know_since(end.latest)
            self._finish(partition)

    def _finish(self, partition: int) -> None:
        self._unread.discard(partition)
        if self._consumer.assignment():
            self._consumer.pause([TopicPartition(self._topic, partition)])

    def _note(self, partition: int, error: KafkaError) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._finish(partition)
        elif code in _GONE:  # deleted in the meantime
            low, _high = bounds(self._consumer, self._topic, partition)
            self._cut.add(partition)
            self._progress.marks[partition].next = low
            self._assign()
        elif error.fatal():
            what = f"topic '{self._topic}': {self._connection.said(error)}"
            raise SourceError(self._connection.problem(what))
        else:
            self._connection.heard(error)

    def _assign(self) -> None:
        marks = self._progress.marks
        self._consumer.assign(
            [TopicPartition(self._topic, one, marks[one].next) for one in self._unread]
        )
