"""Errors of the brokers, one by one: what passes is waited for, what does not is a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message

from connectors.sources.kafka import source as source_module
from connectors.sources.kafka.watch import TopicFacts
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
from tests.kafka.test_source import numbered, reading

PASSING = {
    "not the leader": KafkaError.NOT_LEADER_FOR_PARTITION,
    "no leader": KafkaError.LEADER_NOT_AVAILABLE,
    "timed out": KafkaError.REQUEST_TIMED_OUT,
    "a disk failed": KafkaError.KAFKA_STORAGE_ERROR,
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


def test_a_job_that_may_not_deliver_goes_on_and_delivers_when_it_may(
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
        eventually(lambda: "sync 'all' pauses, because its credentials are refused" in one.errors())
        one.await_told(("u1", "entered", "quiet", "window_expired"))
        assert one.stop() == 0
        assert "Traceback" not in one.errors()
    with running(root) as two:
        wanted = {("u1", 2), ("u1", 3)}
        eventually(lambda: wanted <= {_transition(one) for one in topic.messages()}, two)
        assert two.stop() == 0
    sent = [_transition(one) for one in topic.messages()]
    assert sorted(set(sent)) == [("u1", 1), ("u1", 2), ("u1", 3), ("u2", 1)]


def _transition(message: Message) -> tuple[str, int]:
    record = json.loads(message.value() or b"")
    return record["user_id"], record["sequence"]
