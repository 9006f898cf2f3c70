"""What a Kafka destination makes of each error of the brokers, in a cluster that makes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from audience_dsl.definitions import Settings
from connectors.destinations.destination import Answer, Message, Verdict
from connectors.destinations.errors import DestinationError
from connectors.destinations.kafka import Kafka
from connectors.destinations.place import Place
from tests.destinations.messages import message, story, texts, verdicts
from tests.kafka.broker import Topic
from tests.kafka.cluster import PRODUCE, Cluster, a_cluster

ACCEPTED, RETRY, REFUSED = Verdict.ACCEPTED, Verdict.RETRY, Verdict.REFUSED

PASSING = {
    "not the leader": KafkaError.NOT_LEADER_FOR_PARTITION,
    "timed out": KafkaError.REQUEST_TIMED_OUT,
    "too few replicas": KafkaError.NOT_ENOUGH_REPLICAS,
    "too few replicas after": KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    "a disk failed": KafkaError.KAFKA_STORAGE_ERROR,
}
MEANT = {
    "not allowed": (KafkaError.TOPIC_AUTHORIZATION_FAILED, REFUSED),
    "not valid": (KafkaError.INVALID_RECORD, Verdict.REJECTED),
    "too large": (KafkaError.MSG_SIZE_TOO_LARGE, Verdict.TOO_LARGE),
}
FATAL = {
    "out of order": KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    "fenced": KafkaError.INVALID_PRODUCER_EPOCH,
}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with a_cluster() as one:
        yield one


def opened(topic: Topic, **options: object) -> Kafka:
    needed: dict[str, object] = {"topic": topic.name, "bootstrap_servers": topic.servers}
    place = Place(Path(), lambda _: None)
    return Kafka(Settings("bus", "kafka", needed | options), place, patience=10.0)


def sent(
    topic: Topic, *batches: Sequence[Message], before: Callable[[int], object]
) -> list[Answer]:
    """The answers to some requests; `before` each of them something happens."""

    async def through() -> list[Answer]:
        one = opened(topic)
        answers = []
        for number, some in enumerate(batches):
            before(number)
            answers.append(await one.send(some))
        await one.close()
        return answers

    return asyncio.run(through())


def sequences(topic: Topic) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in topic.messages():
        body = json.loads(one.value() or b"")
        found.setdefault(body["user_id"], []).append(body["sequence"])
    return found


@pytest.mark.parametrize("code", PASSING.values(), ids=PASSING)
def test_what_passes_is_waited_for_by_the_client_itself(cluster: Cluster, code: int) -> None:
    topic = cluster.topic(2)
    (first, second) = sent(
        topic,
        story("abc", 3),
        [message(user, 4) for user in "abc"],
        before=lambda _: cluster.fail(PRODUCE, code, code),
    )
    assert verdicts(first) == verdicts(second) == {ACCEPTED}
    assert sequences(topic) == {user: [1, 2, 3, 4] for user in "abc"}


@pytest.mark.parametrize("what", MEANT)
def test_what_is_refused_has_its_verdict_and_is_not_overtaken(cluster: Cluster, what: str) -> None:
    code, verdict = MEANT[what]
    topic = cluster.topic()
    later = [message("a", 2), message("a", 3)] if verdict is not Verdict.REJECTED else []
    first, second, third = sent(
        topic,
        [message("a", 1)],
        [message("a", 2), message("a", 3)],
        later,
        before=lambda number: cluster.fail(PRODUCE, *[code][: number == 1]),
    )
    assert verdicts(first) == {ACCEPTED}
    assert second.outcomes[0].verdict is verdict, texts(second)
    assert "topic 'events-" in second.outcomes[0].reason
    if later:
        assert second.outcomes[1].verdict is RETRY
        assert verdicts(third) == {ACCEPTED}
        assert sequences(topic) == {"a": [1, 2, 3]}
    else:
        assert second.outcomes[1].verdict is ACCEPTED
        assert sequences(topic) == {"a": [1, 3]}


@pytest.mark.parametrize("code", FATAL.values(), ids=FATAL)
def test_a_producer_that_has_failed_is_replaced(cluster: Cluster, code: int) -> None:
    topic = cluster.topic()
    batches = [[message("a", 1)], *([message("a", 2), message("a", 3)] for _ in range(6))]
    answers = sent(
        topic,
        *batches,
        before=lambda number: cluster.fail(PRODUCE, *[code] * 3 * (number == 1)),
    )
    assert all(verdicts(answer) <= {RETRY, ACCEPTED} for answer in answers), [
        texts(answer) for answer in answers
    ]
    assert verdicts(answers[-1]) == {ACCEPTED}, [texts(answer) for answer in answers]
    found = sequences(topic)["a"]
    assert sorted(set(found)) == [1, 2, 3]


def test_what_waits_in_the_client_is_not_given_to_it_again(cluster: Cluster) -> None:
    topic = cluster.topic()

    async def through() -> None:
        one = opened(topic)
        assert verdicts(await one.send([message("a", 1)])) == {ACCEPTED}
        one._patience = 0.5
        cluster.go_down()
        for _ in range(4):
            answer = await one.send([message("a", 2), message("a", 3)])
            assert verdicts(answer) == {RETRY}
            assert "has not taken it yet" in texts(answer)
        cluster.come_up()
        one._patience = 10.0
        answer = await one.send([message("a", 2), message("a", 3)])
        assert verdicts(answer) == {ACCEPTED}, texts(answer)
        await one.close()

    asyncio.run(through())
    assert sequences(topic) == {"a": [1, 2, 3]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"acks": 1}, "'acks' cannot be set: it is always all here"),
        ({"ackks": 1}, "No such configuration property"),
        ({"bootstrap.servers": "x"}, "use bootstrap_servers"),
    ],
)
def test_settings_that_the_client_does_not_take(
    cluster: Cluster, options: dict[str, object], said: str
) -> None:
    with pytest.raises(DestinationError, match="destination 'bus': ") as failure:
        opened(cluster.topic(), **options)
    assert said in str(failure.value)
