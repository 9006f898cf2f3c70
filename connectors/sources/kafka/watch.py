"""What becomes of a topic while it is read: partitions are added, or it is deleted."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

_EVERY = 5.0
_PATIENCE = 10.0


class TopicFacts(NamedTuple):
    """`id` is empty where the topic does not exist."""

    id: str
    partitions: list[int]


class TopicWatch:
    """Asks for the facts of a topic now and then, without ever waiting for the answer."""

    def __init__(self, properties: dict[str, Any], topic: str) -> None:
        self._admin = AdminClient(properties)
        self._topic = topic
        self._answer: Future[Any] | None = None
        self._asked = float("-inf")

    def look(self) -> TopicFacts | None:
        """The newest facts, if there are any since the last look."""
        self._admin.poll(0)
        if self._answer is not None and self._answer.done():
            answer, self._answer = self._answer, None
            return _facts(answer)
        if self._answer is None and time.monotonic() - self._asked >= _EVERY:
            self._ask()
        return None

    def facts(self) -> TopicFacts | None:
        """The same at once; `None` if the brokers do not answer."""
        self._ask()
        assert self._answer is not None
        answer, self._answer = self._answer, None
        return _facts(answer)

    def _ask(self) -> None:
        self._asked = time.monotonic()
        asked = self._admin.describe_topics(
            TopicCollection([self._topic]), request_timeout=_PATIENCE
        )
        self._answer = asked[self._topic]


def _facts(answer: Future[Any]) -> TopicFacts | None:
    try:
        told = answer.result()
    except KafkaException as error:
        is_gone = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        return TopicFacts("", []) if is_gone else None
    return TopicFacts(str(told.topic_id), [one.id for one in told.partitions])
