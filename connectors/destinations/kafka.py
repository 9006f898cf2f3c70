"""The Kafka destination: transition records as JSON, one message each, keyed by user.

All messages of a user go to one partition, in the order in which they were written; the producer is
idempotent, so retries neither repeat nor reorder them.  A record counts as delivered when the
broker has reported so.  Whatever a crash interrupts is written again, with the ids that it had: in
the header `id`, and in the record.  While the brokers are out of reach, what the client has taken
waits in it, for as long as that lasts.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from audience_dsl.definitions import Settings
from audience_dsl.shapes import Field, Record, Text
from connectors.destinations.errors import DestinationError
from connectors.kafka.connection import Connection, Tell
from connectors.kafka.settings import KafkaRefused, properties
from engine.records import TransitionRecord

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

# Seconds that a call of the client may wait: between two, the process can be told to stop.
_WAIT = 0.2

_OWN = {"enable.idempotence": True, "acks": "all"}
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


class KafkaDestination:
    """Sends to the topic of a destination.

    `tell` is given a sentence when the brokers are lost, and when they are found.

    Raises:
        DestinationError: the options are wrong, the brokers cannot be reached, there is no such
            topic.
    """

    def __init__(self, settings: Settings, tell: Tell) -> None:
        self._connection = Connection(settings, f"destination '{settings.key}'", tell)
        self._topic = self._connection.topic
        self._encode = msgspec.json.Encoder().encode
        self._failure: KafkaError | None = None
        own = _OWN | {"error_cb": self._connection.heard}
        try:
            self._producer = Producer(properties(settings, own, _DEFAULTS))
            self._connection.await_topic(self._producer)
        except KafkaRefused as error:
            raise self._error(str(error)) from error
        except KafkaException as error:
            raise self._error(self._connection.said(error.args[0])) from error

    def write(self, records: Sequence[TransitionRecord]) -> int:
        """Hand the first of the records to the client; return how many it had room for.

        Raises:
            DestinationError: an earlier record could not be delivered.
        """
        taken = 0
        for record in records:
            if not self._taken(record):
                break
            taken += 1
        self._producer.poll(0)
        self._raise_failure()
        return taken

    def settle(self) -> bool:
        """Whether the brokers have reported every record as delivered; waits a moment for it.

        Raises:
            DestinationError: one of them could not be delivered.
        """
        try:
            waiting = self._producer.flush(_WAIT)
        except KafkaException as error:
            raise self._undelivered(error.args[0]) from error
        self._raise_failure()
        return not waiting

    def close(self) -> None:
        """Let go; what has not been reported as delivered is given up."""
        self._producer.purge()
        self._producer.flush(0)

    def _taken(self, record: TransitionRecord) -> bool:
        """Whether the client had room for a record."""
        try:
            self._producer.produce(
                self._topic,
                self._encode(record),
                record.user_id,
                headers={"id": record.id},
                on_delivery=self._reported,
            )
        except BufferError:
            return False
        except KafkaException as error:
            raise self._undelivered(error.args[0]) from error
        return True

    def _reported(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._connection.works()
        elif self._failure is None:
            self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._undelivered(self._failure)
        if self._connection.failure:
            raise DestinationError(self._connection.failure)

    def _undelivered(self, error: KafkaError) -> DestinationError:
        return self._error(
            f"a transition could not be delivered to topic '{self._topic}': "
            f"{self._connection.said(error)}; it will be sent again when the job is started anew"
        )

    def _error(self, what: str) -> DestinationError:
        return DestinationError(self._connection.problem(what))
