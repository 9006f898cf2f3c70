"""A followed topic: all its partitions, or some, by one consumer, from offsets the job keeps.

Offsets belong to the job's stored state, which alone decides where reading goes on.  They are
committed to a consumer group as well, one stored state behind, so that the tools that watch
consumer groups see how far the job has come; they are never read from there.

A message's arrival is its timestamp, made monotone within its partition.  While the brokers are out
of reach the source is not caught up, so the clock waits for them: what happened meanwhile is judged
at its own time, as after a stop of the job.
"""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from audience_dsl.definitions import Settings
from connectors.kafka.connection import Connection, Tell
from connectors.kafka.settings import KafkaRefused, properties
from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from connectors.sources.kafka import statistics
from connectors.sources.kafka.messages import chunk_of
from connectors.sources.kafka.offsets import (
    EARLIEST,
    NOTHING_YET,
    Mark,
    bounds,
    decode_position,
    encode_position,
    first_marks,
    furthest,
    made_anew,
    past_ends,
)
from connectors.sources.kafka.progress import Progress
from connectors.sources.kafka.watch import TopicFacts, TopicWatch
from connectors.sources.source import EVERYTHING, Portion
from connectors.wall_clock import wall_clock

_AT_ONCE = 500  # messages taken from the client in one call
_PATIENCE = 5.0

_OUT_OF_RANGE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001
_HOPELESS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
    KafkaError._BAD_MSG,  # noqa: SLF001
    KafkaError._BAD_COMPRESSION,  # noqa: SLF001
}

_DEFAULTS = {
    "client.id": "usher",
    "queued.max.messages.kbytes": 32_768,  # bounds what is read ahead, for all partitions together
    "queued.min.messages": 100_000,
    "fetch.queue.backoff.ms": 10,  # a second, if it is not said: longer than the queue lasts
    "reconnect.backoff.max.ms": 2_000,
    "topic.metadata.refresh.interval.ms": 10_000,
}


class KafkaSource:
    """Follows the topic of a source, at once reachable, from `follow` on readable.

    `tell` is given a sentence when the brokers are lost or found, or messages are passed over.

    Args:
        started: What arrived before is the topic's past; by default, before now.

    Raises:
        SourceError: the options are wrong, the brokers cannot be reached, there is no such topic.
    """

    def __init__(
        self, settings: Settings, group: str, tell: Tell, started: int | None = None
    ) -> None:
        self._started = wall_clock() if started is None else started
        self._tell = tell
        self._start = str(settings.options.get("start", EARLIEST))
        self._skips = settings.options.get("on_missing") == "skip"
        self._connection = Connection(settings, f"source '{settings.key}'", tell)
        self._topic = self._connection.topic
        self._progress = Progress()
        self._stored: dict[int, int] = {}  # the offsets of the last position that was asked for
        self._commit_problem = ""
        own = {
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "statistics.interval.ms": statistics.INTERVAL,
            "group.id": str(settings.options.get("group", group)),
            "error_cb": self._connection.heard,
            "stats_cb": self._heard_statistics,
            "on_commit": self._heard_commit,
        }
        try:
            self._consumer = Consumer(properties(settings, own, _DEFAULTS))
            self._connection.await_topic(self._consumer)
            watching = properties(settings, {"error_cb": _unheard}, {"client.id": "usher"})
            self._watch = TopicWatch(watching, self._topic)
            self._facts = self._described()
        except (KafkaRefused, SourceError) as error:
            raise self._error(str(error)) from error
        except KafkaException as error:
            raise self._error(self._connection.said(error.args[0])) from error
        self.reached = NOTHING_YET
        self.caught_up = False

    def follow(self, positions: Sequence[bytes], portion: Portion = EVERYTHING) -> KafkaSource:
        """Read on at the positions of an earlier job's shares, or where `start` says.

        Raises:
            SourceError: a position is not of this topic, or its next messages are gone.
        """
        self._portion = portion
        partitions = self._own(self._facts.partitions)
        try:
            if positions:
                found = [decode_position(one, self._topic, self._facts.id) for one in positions]
                marks = {one: mark for one, mark in furthest(found).items() if portion.has(one)}
                for partition, mark in marks.items():
                    self._check(partition, mark)
            else:
                marks = first_marks(self._consumer, self._topic, partitions, self._start)
            past = past_ends(self._consumer, self._topic, partitions, self._started)
        except SourceError as error:
            raise self._error(str(error)) from error
        self._stored = {partition: mark.next for partition, mark in marks.items()}
        self._progress.begin(marks, past, self._started)
        self._assign()
        self._take_on(partitions)
        return self

    def poll(self, limit: int) -> list[Chunk]:
        """What the client has received: some `limit` bytes, or a little more.

        Raises:
            SourceError: the topic cannot be read any further.
        """
        self._look_at_topic()
        messages: list[Message] = []
        wait = self._progress.waiting_from()
        notes: list[tuple[int, int, KafkaError]] = []
        size = 0
        while size < limit and (received := self._consumer.consume(_AT_ONCE, 0)):
            for message in received:
                error = message.error()
                if error is not None:
                    notes.append((message.partition() or 0, message.offset() or 0, error))
                    continue
                size += len(message)
                if not wait or message.offset() < wait[message.partition()]:  # type: ignore[operator, index]
                    messages.append(message)
        chunks: list[Chunk] = [self._delivered(messages)] if messages else []
        for partition, offset, error in notes:
            self._note(partition, min(offset, wait.get(partition, offset)), error)
        if self._progress.may_leave_past() and self._portion.goes_on():
            self._progress.leave_past()
            self._assign()
        if self._connection.failure:
            raise SourceError(self._connection.failure)
        self._tell_time()
        return chunks

    def position(self) -> bytes:
        """What has been delivered so far; the position before this one is committed."""
        self._commit(asynchronous=True)
        self._stored = {partition: mark.next for partition, mark in self._marks.items()}
        return encode_position(self._topic, self._facts.id, self._marks)

    @property
    def _marks(self) -> dict[int, Mark]:
        return self._progress.marks

    @property
    def lag(self) -> int:
        """How many offsets are known to lie ahead."""
        return sum(
            max(0, self._known_end(partition) - mark.next)
            for partition, mark in self._marks.items()
        )

    def close(self) -> None:
        """Commit what was stored and leave."""
        self._commit(asynchronous=False)
        # Closing would wait for brokers that are out of reach; there is no group to leave.
        del self._consumer

    def _delivered(self, messages: Sequence[Message]) -> Chunk:
        columns = self._progress.deliver(messages, self._known_end)
        return chunk_of(self._topic, messages, *columns)

    def _note(self, partition: int, offset: int, error: KafkaError) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._progress.ends(partition, offset)
        elif code in _OUT_OF_RANGE:
            # Also where nothing is missing, as when a replica that lags has become the leader: the
            # client does not go on by itself.
            self._check(partition, self._marks[partition])
            self._assign()
        elif code in _HOPELESS or error.fatal():
            raise self._error(f"topic '{self._topic}': {self._connection.said(error)}")
        else:
            self._connection.heard(error)

    def _check(self, partition: int, mark: Mark) -> None:
        """Make sure that a partition's next message is still there, or pass over what is missing.

        Raises:
            SourceError: it is not, and must not be passed over.
        """
        low, high = bounds(self._consumer, self._topic, partition)
        where = f"partition {partition} of topic '{self._topic}'"
        if mark.next > high:
            raise self._error(
                f"{where} ends at offset {high}, before {mark.next}, where the job stopped "
                "reading: it is not what it was; start with --rebuild to count anew"
            )
        missing = low - mark.next
        if missing <= 0:
            return
        if not self._skips:
            raise self._error(
                f"{missing} offsets are missing in {where}: the job stopped reading at "
                f"{mark.next}, and what is left begins at {low}; set on_missing: skip to go on "
                "from there, or start with --rebuild to count anew"
            )
        what = f"{missing} offsets are missing in {where}; going on at {low}"
        self._tell(self._connection.problem(what))
        mark.next = low

    def _described(self) -> TopicFacts:
        facts = self._watch.facts()
        if facts is None or not facts.id:
            raise self._error(f"the brokers do not describe topic '{self._topic}'")
        return facts

    def _look_at_topic(self) -> None:
        facts = self._watch.look()
        if facts is None:
            return
        if not facts.id:
            raise self._error(f"topic '{self._topic}' does not exist any more")
        if facts.id != self._facts.id:
            raise self._error(str(made_anew(self._topic)))
        self._take_on(self._own(facts.partitions))

    def _own(self, partitions: Sequence[int]) -> list[int]:
        return [one for one in partitions if self._portion.has(one)]

    def _take_on(self, partitions: Sequence[int]) -> None:
        """Read partitions that are new, from their beginning: nobody has read what is in them."""
        new = [one for one in partitions if one not in self._marks]
        if not new:
            return
        try:
            self._consumer.list_topics(self._topic, _PATIENCE)  # or the client does not know them
            marks = first_marks(self._consumer, self._topic, new, EARLIEST)
        except (KafkaException, SourceError):
            return  # they will be seen again
        self._marks.update(marks)
        self._assign()

    def _assign(self) -> None:
        self._progress.restarted()
        self._consumer.assign(
            [TopicPartition(self._topic, one, mark.next) for one, mark in self._marks.items()]
        )

    def _known_end(self, partition: int) -> int:
        """The end of a partition at the last fetch; negative before the first."""
        _low, high = self._consumer.get_watermark_offsets(
            TopicPartition(self._topic, partition), cached=True
        )
        return high

    def _tell_time(self) -> None:
        behind = self._progress.behind(is_doubtful=self._connection.doubtful)
        self.caught_up = not behind
        if behind:
            self.reached = min(behind)

    def _commit(self, *, asynchronous: bool) -> None:
        if not self._stored or self._connection.doubtful:
            return  # a commit that waits for the brokers would hold up the end of the job
        offsets = [TopicPartition(self._topic, one, next) for one, next in self._stored.items()]
        try:
            if asynchronous:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            self._heard_commit(error.args[0], [])

    def _heard_commit(self, error: KafkaError | None, _offsets: list[TopicPartition]) -> None:
        """Nothing depends on what is committed; but that nobody sees it may be of interest."""
        problem = "" if error is None else self._connection.said(error)
        if problem and problem != self._commit_problem:
            what = f"offsets are not committed to the consumer group: {problem}"
            self._tell(self._connection.problem(what))
        self._commit_problem = problem

    def _heard_statistics(self, text: str) -> None:
        answers = statistics.all_answer(text, self._topic, self._marks)
        self._connection.seen(answers=answers)

    def _error(self, what: str) -> SourceError:
        return SourceError(self._connection.problem(what))


def _unheard(_error: KafkaError) -> None:
    """The consumer beside it tells of the same brokers."""
