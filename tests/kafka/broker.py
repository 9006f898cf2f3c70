"""A broker of Apache Kafka on this machine: one node, started, killed and started again.

A `KAFKA_BOOTSTRAP` in the environment names another broker to test against; what needs to kill the
broker is skipped then.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic
from typing_extensions import override

from examples.kafka.broker import Apache, has_java
from tests.cli.jobs import PATIENCE, eventually

MISSING = "a Kafka broker needs java and mvn (Debian: openjdk-17-jre-headless, maven)"
ELSEWHERE = os.environ.get("KAFKA_BOOTSTRAP", "")

QUIET: dict[str, Any] = {"log_level": 0}
_BY_KEY = -1  # the partition


def can_run() -> bool:
    return bool(ELSEWHERE) or has_java()


class Broker(Apache):
    """The same, awaited."""

    @override
    def start(self) -> subprocess.Popen[bytes]:
        process = super().start()
        await_broker(self.servers)
        return process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)


class Elsewhere:
    """The broker that `KAFKA_BOOTSTRAP` names."""

    servers = ELSEWHERE


class Topic:
    """A topic of a broker, and everything that may happen to it."""

    def __init__(self, servers: str, partitions: int = 1, **config: str) -> None:
        self.servers = servers
        self.name = f"events-{uuid.uuid4().hex[:8]}"
        self._admin = AdminClient(QUIET | {"bootstrap.servers": servers})
        self._producer = Producer(
            QUIET
            | {
                "bootstrap.servers": servers,
                "message.max.bytes": 20_000_000,
                "enable.idempotence": True,
                "max.in.flight.requests.per.connection": 1,  # see connectors.destinations.kafka
                "linger.ms": 0,
                "reconnect.backoff.max.ms": 200,
            }
        )
        self.create(partitions, **config)

    def create(self, partitions: int, **config: str) -> None:
        new = NewTopic(self.name, partitions, 1, config=config)
        self._admin.create_topics([new])[self.name].result(PATIENCE)
        eventually(lambda: self.partitions == partitions)  # brokers learn of it a little later

    def delete(self) -> None:
        self._admin.delete_topics([self.name])[self.name].result(PATIENCE)

    def enlarge(self, partitions: int) -> None:
        new = NewPartitions(self.name, partitions)
        self._admin.create_partitions([new])[self.name].result(PATIENCE)
        eventually(lambda: self.partitions == partitions)

    @property
    def partitions(self) -> int:
        return len(self._producer.list_topics(self.name, PATIENCE).topics[self.name].partitions)

    def truncate(self, partition: int, offset: int) -> None:
        """Delete what lies before an offset."""
        one = TopicPartition(self.name, partition, offset)
        for future in self._admin.delete_records([one]).values():
            future.result(PATIENCE)

    def send(
        self,
        *values: str | bytes | None,
        partition: int = 0,
        key: str | None = None,
        at: int | None = None,
    ) -> None:
        """Send messages and wait until the broker has them; `at` in milliseconds since 1970."""
        self._send((value, key, at, partition) for value in values)

    def send_all(self, messages: Iterable[tuple[str, str, int]]) -> None:
        """The same for values, keys and timestamps; their keys say to which partition they go."""
        self._send((*message, _BY_KEY) for message in messages)

    def _send(
        self, messages: Iterable[tuple[str | bytes | None, str | None, int | None, int]]
    ) -> None:
        failed: list[object] = []

        def delivered(error: object, _message: object) -> None:
            failed.extend([error] if error else [])

        for value, key, at, partition in messages:
            self._producer.produce(
                self.name,
                value,
                key,
                partition,
                on_delivery=delivered,
                timestamp=0 if at is None else at,  # 0 is now
            )
            self._producer.poll(0)
        assert self._producer.flush(PATIENCE) == 0
        assert not failed, failed

    def messages(self) -> list[Message]:
        """All that the topic holds, partition by partition."""
        consumer = Consumer(
            QUIET
            | {"bootstrap.servers": self.servers, "group.id": "look", "enable.partition.eof": True}
        )
        count = self.partitions
        consumer.assign([TopicPartition(self.name, one, 0) for one in range(count)])
        found: list[Message] = []
        ended = 0
        while ended < count:
            for message in consumer.consume(1_000, 0.1):
                error = message.error()
                if error is None:
                    found.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF
                    ended += 1
        consumer.close()
        return sorted(found, key=lambda one: (one.partition(), one.offset()))

    def committed(self, group: str) -> dict[int, int]:
        """The offsets that tools see of a consumer group."""
        asked = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        found = asked[group].result(PATIENCE).topic_partitions or []
        return {one.partition: one.offset for one in found if one.topic == self.name}


def await_broker(servers: str) -> None:
    admin = AdminClient(QUIET | {"bootstrap.servers": servers, "reconnect.backoff.max.ms": 200})

    def answers() -> bool:
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    eventually(answers)


@contextmanager
def a_broker(folder: Path) -> Iterator[Broker]:
    broker = Broker(folder)
    try:
        yield broker
    finally:
        broker.kill()
