"""The Kafka destination: messages as JSON, keyed by user, with their ids in the header `id`.

All messages of a user go to one partition, in the order in which they were sent; the producer is
idempotent, so its retries neither repeat nor reorder them.  A message is accepted when the broker
has reported so.

One request is under way at a time.  A broker knows nothing of a producer that has not written to a
partition yet, and takes whatever comes first.  If that is the second request, as the first one has
to be repeated, it takes the first one for a repetition and reports it as written: the messages are
lost.  That is rare, and was seen with topics that had just been made.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Producer
from typing_extensions import override

from audience_dsl.definitions import Settings
from audience_dsl.shapes import Field, Record, Text
from connectors.destinations.blocking import Blocking, Item, said
from connectors.destinations.destination import ACCEPTED, Capacity, Outcome, Verdict
from connectors.destinations.place import Place
from connectors.destinations.rounds import in_rounds
from connectors.kafka.connection import Connection
from connectors.kafka.settings import KafkaRefused, properties

OPTIONS = Record(
    "kafka",
    "A Kafka topic. Other keys are properties of librdkafka by its own names, such as "
    "`security.protocol`, `sasl.username` and `ssl.ca.location`.",
    (
        Field("bootstrap_servers", Text(), "host:port, separated by commas.", required=True),
        Field("topic", Text(), "The topic.", required=True),
    ),
    open=True,
)

# Seconds for which the brokers may take to report a message.
_PATIENCE = 10.0

# Seconds that a call of the client may wait: between two, the process can be told to stop.
_WAIT = 0.2

_OWN = {
    "enable.idempotence": True,
    "acks": "all",
    "max.in.flight.requests.per.connection": 1,
}
_DEFAULTS = {
    "client.id": "usher",
    "linger.ms": 5,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",  # as other clients place the same keys
    "queue.buffering.max.kbytes": 65_536,
    "queue.buffering.max.messages": 100_000,
    "reconnect.backoff.max.ms": 2_000,
    "message.timeout.ms": 0,  # never
}

_MISSING = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  so the library spells its constants
    }
)
_VERDICTS = {
    KafkaError.MSG_SIZE_TOO_LARGE: Verdict.TOO_LARGE,
    KafkaError.INVALID_RECORD: Verdict.REJECTED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: Verdict.REFUSED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: Verdict.REFUSED,
    KafkaError.SASL_AUTHENTICATION_FAILED: Verdict.REFUSED,
    KafkaError.TOPIC_EXCEPTION: Verdict.REFUSED,
    KafkaError._AUTHENTICATION: Verdict.REFUSED,  # noqa: SLF001
    **dict.fromkeys(_MISSING, Verdict.REFUSED),
}


class Kafka(Blocking):
    """Sends to the topic of a destination; `place.tell` hears when brokers are lost and found.

    What the client has taken waits in it while the brokers are away.  When it is sent again, only
    its report is waited for: the idempotent producer alone repeats, and keeps the order.

    Raises:
        DestinationError: the client does not take these settings.
    """

    capacity = Capacity(messages=1000, requests=1)

    def __init__(self, settings: Settings, place: Place, patience: float = _PATIENCE) -> None:
        name = f"destination '{settings.key}'"
        super().__init__(settings, f"topic '{settings.options['topic']}'")
        self._settings, self._tell = settings, place.tell
        self._connection = Connection(settings, name, place.tell)
        self._broken = False
        self._topic = self._connection.topic
        self._patience = patience  # seconds
        own = _OWN | {"error_cb": self._heard}
        try:
            self._properties = properties(settings, own, _DEFAULTS)
            self._producer = Producer(self._properties)
        except (KafkaRefused, KafkaException) as error:
            raise self._error(error) from None
        self._reports: dict[str, _Report] = {}

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        outcomes = in_rounds(items, self._round)
        if self._failed():
            self._begin_anew()
        return outcomes

    @override
    def explain(self, error: Exception) -> Outcome:
        if isinstance(error, KafkaException):
            return self._meaning(error.args[0])
        return Outcome(Verdict.RETRY, said(error))

    @override
    def probe(self) -> None:
        if self._failed():
            self._begin_anew()
        self._connection.await_topic(self._producer, self._patience)

    @override
    def disconnect(self) -> None:
        self._producer.purge()
        with suppress(KafkaException):  # one that has failed says so again
            self._producer.flush(0)

    def _round(self, items: Sequence[Item]) -> Sequence[Outcome]:
        deadline = time.monotonic() + self._patience
        reports = [self._reported(item, deadline) for item in items]
        while not self._failed() and not all(one.done for one in reports):
            if time.monotonic() > deadline:
                break
            self._listen()
        outcomes = [self._outcome(one) for one in reports]
        for item, report in zip(items, reports, strict=True):
            if report.done:
                self._reports.pop(item.message.id, None)
        return outcomes

    def _reported(self, item: Item, deadline: float) -> _Report:
        """What becomes known of an item, which is handed to the client unless it has it already."""
        message = item.message
        report = self._reports.get(message.id)
        if report is not None:
            return report
        report = self._reports[message.id] = _Report()
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    item.body,
                    message.user_id,
                    headers={"id": message.id},
                    on_delivery=report.hear,
                )
            except BufferError:  # a poll makes room
                if time.monotonic() > deadline:
                    del self._reports[message.id]
                    return report
                self._listen()
            except KafkaException as error:
                report.hear(error.args[0], None)
                return report
            else:
                return report

    def _outcome(self, report: _Report) -> Outcome:
        if report.error is not None:
            outcome = self._meaning(report.error)
            # It is not about the message: the client believes it for minutes, or for good.
            self._broken = self._broken or outcome.verdict in {Verdict.RETRY, Verdict.REFUSED}
            return outcome
        if report.done:
            self._connection.works()
            return ACCEPTED
        if self._connection.failure:
            return Outcome(Verdict.REFUSED, self._connection.failure)
        servers = self._connection.servers
        return Outcome(
            Verdict.RETRY,
            f"Kafka at {servers} has not taken it yet: {self._connection.last or 'no answer'}",
        )

    def _meaning(self, error: KafkaError) -> Outcome:
        code = error.code()
        text = f"topic '{self._topic}': {self._connection.said(error)}"
        if code in _MISSING:
            text = f"topic '{self._topic}' does not exist; create it, or correct 'topic'"
        return Outcome(_VERDICTS.get(code, Verdict.RETRY), text)

    def _listen(self) -> None:
        """Let the client tell what it knows, for a moment."""
        try:
            self._producer.poll(_WAIT)
        except KafkaException:  # it has failed, and says so again
            self._broken = True

    def _heard(self, error: KafkaError) -> None:
        if error.fatal():  # for this producer alone
            self._broken = True
        else:
            self._connection.heard(error)

    def _failed(self) -> bool:
        """Whether this client will not deliver anything any more."""
        return self._broken or bool(self._connection.failure)

    def _begin_anew(self) -> None:
        """Give up what the client has, and connect with another one."""
        self.disconnect()
        self._broken = False
        self._reports.clear()
        self._connection = Connection(self._settings, self._name, self._tell)
        self._producer = Producer(self._properties)


class _Report:
    """What the client has said of one message; `done` when nothing else will follow."""

    def __init__(self) -> None:
        self.done = False
        self.error: KafkaError | None = None

    def hear(self, error: KafkaError | None, _message: object) -> None:
        self.done, self.error = True, error
