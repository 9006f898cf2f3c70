"""Errors of the brokers, one by one: what passes is waited for, what does not is a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message

from connectors.destinations.errors import DestinationError
from connectors.destinations.kafka import KafkaDestination
from connectors.sources.kafka import source as source_module
from connectors.sources.kafka.watch import TopicFacts
from engine.records import TransitionRecord
from tests.cli.jobs import eventually, now, running
from tests.cli.projects import changed, page, write_project
from tests.cli.test_run import append
from tests.kafka.cluster import (
    FETCH,
    LIST_OFFSETS,
    OFFSET_COMMIT,
    PRODUCE,
    Cluster,
    a_cluster,
)
from tests.kafka.test_destination import of_users, opened, record, sending, settle, write_all
from tests.kafka.test_source import numbered, reading

PASSING = {
    "not the leader": KafkaError.NOT_LEADER_FOR_PARTITION,
    "no leader": KafkaError.LEADER_NOT_AVAILABLE,
    "timed out": KafkaError.REQUEST_TIMED_OUT,
    "a disk failed": KafkaError.KAFKA_STORAGE_ERROR,
}
REPLICAS = {
    "too few replicas": KafkaError.NOT_ENOUGH_REPLICAS,
    "too few replicas after": KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
}
REFUSING = {
    "not allowed": KafkaError.TOPIC_AUTHORIZATION_FAILED,
    "not valid": KafkaError.INVALID_RECORD,
    "too large": KafkaError.MSG_SIZE_TOO_LARGE,
}
FATAL = {
    "out of order": KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    "fenced": KafkaError.INVALID_PRODUCER_EPOCH,
}


class Facts:
    """What the cluster does not answer: the facts of a topic, which stays as it is."""

    def __init__(self, _properties: object, _topic: str) -> None:
        self._facts = TopicFacts("made once", [0])

    def facts(self) -> TopicFacts:
        return self._facts

    def look(self) -> None:
        return None


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(source_module, "TopicWatch", Facts)
    with a_cluster() as one:
        yield one


def cases(errors: dict[str, int]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("code", errors.values(), ids=errors.keys())


def send_all(destination: KafkaDestination, records: list[TransitionRecord]) -> None:
    write_all(destination, records)
    settle(destination)


@cases(PASSING | REPLICAS)
def test_what_passes_delays_a_delivery_and_nothing_else(cluster: Cluster, code: int) -> None:
    topic = cluster.topic()
    with sending(topic, []) as one:
        for sequence in range(1, 31):
            if sequence % 10 == 0:
                cluster.fail(PRODUCE, code, code)
            write_all(one, [record(f"u{user}", sequence) for user in range(5)])
            if sequence % 7 == 0:
                settle(one)
        settle(one)
        assert of_users(topic) == {f"u{user}": list(range(1, 31)) for user in range(5)}


@cases(REFUSING | FATAL)
def test_what_is_refused_ends_the_deliveries_with_a_sentence(cluster: Cluster, code: int) -> None:
    topic = cluster.topic()
    one = opened(topic, [])
    send_all(one, [record("u", 1)])
    cluster.fail(PRODUCE, *[code] * 20)
    with pytest.raises(DestinationError) as failure:
        send_all(one, [record("u", sequence) for sequence in range(2, 30)])
    said = str(failure.value)
    assert said.startswith("destination 'bus': ")
    assert "\n" not in said
    for again in (partial(one.write, [record("u", 99)]), one.settle):
        with pytest.raises(DestinationError):  # nothing that follows overtakes it
            again()
    assert of_users(topic) == {"u": [1]}


def test_a_broker_that_goes_down_is_waited_for(cluster: Cluster) -> None:
    topic = cluster.topic()
    said: list[str] = []
    with sending(topic, said) as one:
        send_all(one, [record("u", 1)])
        cluster.go_down()
        write_all(one, [record("u", sequence) for sequence in range(2, 100)])
        while not said:
            one.write([])
        assert "out of reach" in said[0]
        cluster.come_up()
        settle(one)
        assert of_users(topic) == {"u": list(range(1, 100))}


@cases(PASSING)
def test_what_passes_delays_reading_and_nothing_else(cluster: Cluster, code: int) -> None:
    topic = cluster.topic()
    topic.send(*numbered(0, 20))
    with reading(topic) as one:
        one.read(20)
        cluster.fail(FETCH, code, code, code)
        topic.send(*numbered(20, 40))
        assert one.read(40) == numbered(0, 40)
        assert one.read_to_end() == numbered(0, 40)


def test_who_may_not_read_any_more_is_told(cluster: Cluster) -> None:
    topic = cluster.topic()
    topic.send(*numbered(0, 5))
    with reading(topic) as one:
        one.read(5)
        cluster.fail(FETCH, *[KafkaError.TOPIC_AUTHORIZATION_FAILED] * 5)
        said = one.fail()
    assert said.startswith(f"source 'web': topic '{topic.name}': ")


def test_offsets_that_are_said_to_be_missing_and_are_not(cluster: Cluster) -> None:
    topic = cluster.topic()
    topic.send(*numbered(0, 5))
    with reading(topic) as one:
        one.read(5)
        cluster.fail(FETCH, KafkaError.OFFSET_OUT_OF_RANGE)
        topic.send(*numbered(5, 10))
        assert one.read(10) == numbered(0, 10)


def test_offsets_that_are_not_told_at_once_are_asked_for_again(cluster: Cluster) -> None:
    topic = cluster.topic()
    topic.send(*numbered(0, 5))
    cluster.fail(LIST_OFFSETS, *[KafkaError.NOT_LEADER_FOR_PARTITION] * 3)
    with reading(topic) as one:
        assert one.read(5) == numbered(0, 5)


def test_offsets_that_cannot_be_committed_are_told_and_nothing_depends_on_them(
    cluster: Cluster,
) -> None:
    topic = cluster.topic()
    topic.send(*numbered(0, 5))
    with reading(topic) as one:
        one.read(5)
        one.source.position()
        cluster.fail(OFFSET_COMMIT, *[KafkaError.GROUP_AUTHORIZATION_FAILED] * 5)
        one.source.position()
        eventually(lambda: one.poll() or any("not committed" in each for each in one.said))
        topic.send(*numbered(5, 10))
        assert one.read(10) == numbered(0, 10)


def test_a_job_ends_when_it_cannot_deliver_and_delivers_when_it_can(
    cluster: Cluster, tmp_path: Path
) -> None:
    topic = cluster.topic()
    bus = {"type": "kafka", "topic": topic.name, "bootstrap_servers": topic.servers}
    root = write_project(
        tmp_path / "project",
        changed(
            destinations={"bus": bus}, syncs={"all": {"audience": "quiet", "destination": "bus"}}
        ),
    )
    with running(root) as one:
        eventually(lambda: len(topic.messages()) == 2, one)
        cluster.fail(PRODUCE, KafkaError.TOPIC_AUTHORIZATION_FAILED)
        append(root, page("u1", 1, now()))
        assert one.process.wait(60) == 3
        said = one.errors()
    assert said.splitlines()[-1].startswith("usher: destination 'bus': ")
    assert "will be sent again when the job is started anew" in said
    assert "Traceback" not in said
    with running(root) as two:
        wanted = {("u1", 2), ("u1", 3)}
        eventually(lambda: wanted <= {_transition(one) for one in topic.messages()}, two)
        assert two.stop() == 0
    sent = [_transition(one) for one in topic.messages()]
    assert sorted(set(sent)) == [("u1", 1), ("u1", 2), ("u1", 3), ("u2", 1)]


def _transition(message: Message) -> tuple[str, int]:
    record = json.loads(message.value() or b"")
    return record["user_id"], record["sequence"]
