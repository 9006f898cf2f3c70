"""A topic as a destination: every transition, in order for each user, or a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from audience_dsl.definitions import Settings
from connectors.destinations.errors import DestinationError
from connectors.destinations.kafka import KafkaDestination
from engine.records import TransitionRecord
from membership.deliveries import DeadLetter
from project.folder import load_project
from project.stores import open_reader
from tests.cli.jobs import eventually, now, running
from tests.cli.projects import changed, page, write_project
from tests.cli.test_run import POPULATED, append, archived
from tests.kafka.broker import Broker, Topic

NewTopic = Callable[..., Topic]


def record(user: str, sequence: int, **more: Any) -> TransitionRecord:
    return TransitionRecord(
        id=f"{user}-{sequence}",
        type="entered" if sequence % 2 else "exited",
        audience="keen",
        audience_version="v",
        parent_model="users",
        user_id=user,
        effective_at="2026-03-01T10:00:00.000000Z",
        sequence=sequence,
        cause={"kind": "event", "message_id": "m"} | more,
        emitted_at="2026-03-01T10:00:00.100000Z",
    )


def opened(topic: Topic, said: list[str], /, **options: Any) -> KafkaDestination:
    needed = {"topic": topic.name, "bootstrap_servers": topic.servers}
    return KafkaDestination(Settings("bus", "kafka", needed | options), said.append)


@contextmanager
def sending(topic: Topic, said: list[str], /, **options: Any) -> Iterator[KafkaDestination]:
    destination = opened(topic, said, **options)
    yield destination
    destination.close()


def write_all(destination: KafkaDestination, records: Sequence[TransitionRecord]) -> None:
    while records := records[destination.write(records) :]:
        destination.settle()


def settle(destination: KafkaDestination) -> None:
    eventually(destination.settle)


def refused(topic: Topic, /, **options: Any) -> str:
    with pytest.raises(DestinationError) as failure:
        opened(topic, [], **options)
    return str(failure.value)


def of_users(topic: Topic) -> dict[str, list[int]]:
    """The sequences of each user, as its partition has them; a user has only one."""
    found: dict[str, list[int]] = {}
    places: dict[str, set[int | None]] = {}
    for message in topic.messages():
        user = (message.key() or b"").decode()
        found.setdefault(user, []).append(json.loads(message.value() or b"")["sequence"])
        places.setdefault(user, set()).add(message.partition())
    assert all(len(partitions) == 1 for partitions in places.values())
    return found


def test_every_record_once_and_in_order_for_each_user(new_topic: NewTopic) -> None:
    topic = new_topic(6)
    users = [f"u{i}" for i in range(50)] + ["ß\n€"]
    with sending(topic, []) as one:
        for sequence in range(1, 101):
            write_all(one, [record(user, sequence) for user in users])
        settle(one)
        assert of_users(topic) == {user: list(range(1, 101)) for user in users}
    first = topic.messages()[0]
    value = json.loads(first.value() or b"")
    assert dict(first.headers() or []) == {"id": value["id"].encode()}
    assert list(value)[:3] == ["id", "type", "audience"]


def test_a_broker_that_is_killed_loses_repeats_and_reorders_nothing(
    new_topic: NewTopic, own_broker: Broker
) -> None:
    topic = new_topic(3)
    users = [f"u{i}" for i in range(20)]
    said: list[str] = []
    with sending(topic, said) as one:
        for sequence in range(1, 201):
            write_all(one, [record(user, sequence) for user in users])
            if sequence == 100:
                own_broker.kill()
        restart = Thread(target=own_broker.start)
        restart.start()
        settle(one)
        restart.join()
    assert of_users(topic) == {user: list(range(1, 201)) for user in users}


def test_a_full_queue_waits_and_drops_nothing(topic: Topic) -> None:
    with sending(topic, [], **{"queue.buffering.max.messages": 10}) as one:
        write_all(one, [record("u", sequence) for sequence in range(1, 501)])
        settle(one)
    assert of_users(topic) == {"u": list(range(1, 501))}


def test_what_cannot_be_delivered_is_not_passed_over(new_topic: NewTopic) -> None:
    topic = new_topic(**{"max.message.bytes": "2000"})
    too_large = [record("u", 1), record("u", 2, note="x" * 5_000), record("u", 3)]
    one = opened(topic, [], **{"compression.type": "none"})
    one.write(too_large)
    with pytest.raises(DestinationError) as failure:
        settle(one)
    for again in (partial(one.write, [record("u", 4)]), one.settle):
        with pytest.raises(DestinationError):
            again()
    one.close()
    said = str(failure.value)
    assert said.startswith(
        f"destination 'bus': a transition could not be delivered to topic '{topic.name}': "
    )
    assert "larger" in said or "too large" in said
    assert said.endswith("it will be sent again when the job is started anew")


def test_mistakes_are_told(topic: Topic) -> None:
    assert "topic 'nowhere' does not exist" in refused(topic, topic="nowhere")
    assert "'acks' cannot be set: it is always all here" in refused(topic, acks=1)
    assert "No such configuration property" in refused(topic, ackks=1)


def test_a_job_delivers_to_a_topic(tmp_path: Path, new_topic: NewTopic) -> None:
    events, bus = new_topic(4), new_topic(4)
    servers = {"bootstrap_servers": events.servers}
    project = write_project(
        tmp_path / "project",
        changed(
            sources={
                "web": {"type": "kafka", "format": "segment", "topic": events.name, **servers}
            },
            destinations={"bus": {"type": "kafka", "topic": bus.name, **servers}},
            syncs={
                "keen": {"audience": "keen", "destination": "bus"},
                "quiet": {"audience": "quiet", "destination": "bus", "on": ["exited"]},
            },
        ),
    )
    with running(project) as one:
        one.await_told(*POPULATED)
        events.send(page("u1", 1, now()), page("u1", 2, now()), partition=3)
        one.await_told(("u1", "exited", "keen", "window_expired"))
        eventually(lambda: len(bus.messages()) == 3, one)
        assert one.stop() == 0
        printed = {line["id"]: line for line in one.transitions()}
    sent = [json.loads(message.value() or b"") for message in bus.messages()]
    # Each sync has its own order.
    assert [each["type"] for each in sent if each["audience"] == "keen"] == ["entered", "exited"]
    assert [each["type"] for each in sent if each["audience"] == "quiet"] == ["exited"]
    assert all(each == printed[each["id"]] for each in sent)


def test_a_job_goes_on_without_the_brokers_and_delivers_when_they_are_back(
    tmp_path: Path, own_broker: Broker, new_topic: NewTopic
) -> None:
    bus = new_topic(2)
    project = write_project(
        tmp_path / "project",
        changed(
            destinations={
                "bus": {"type": "kafka", "topic": bus.name, "bootstrap_servers": bus.servers},
                "archive": {"type": "file", "path": "out/transitions.jsonl"},
            },
            syncs={
                "bus": {"audience": "keen", "destination": "bus"},
                "archive": {"audience": "keen", "destination": "archive"},
            },
        ),
    )
    with running(project) as one:
        one.await_told(*POPULATED)
        own_broker.kill()
        append(project, page("u1", 1, now()), page("u1", 2, now()))
        one.await_told(
            ("u1", "entered", "keen", "event"), ("u1", "exited", "keen", "window_expired")
        )
        eventually(lambda: len(archived(project)) == 2, one)
        eventually(lambda: "is out of reach" in one.errors(), one)
        assert one.stop() == 0
        assert "sync 'bus': " in one.errors()
    own_broker.start()
    with running(project) as two:
        eventually(lambda: len(bus.messages()) >= 2, two)
        assert two.stop() == 0
        assert len(archived(project)) == 2
    assert [json.loads(one.value() or b"")["sequence"] for one in bus.messages()] == [1, 2]


def test_a_topic_that_refuses_a_transition_makes_it_a_dead_letter(
    tmp_path: Path, new_topic: NewTopic
) -> None:
    bus = new_topic(**{"max.message.bytes": "100"})
    project = write_project(
        tmp_path / "project",
        changed(
            destinations={
                "bus": {"type": "kafka", "topic": bus.name, "bootstrap_servers": bus.servers}
            },
            syncs={"quiet": {"audience": "quiet", "destination": "bus"}},
        ),
    )
    with running(project) as one:
        one.await_told(*POPULATED)
        letters = partial(_dead_letters, project, "quiet")
        eventually(letters, one)
        assert one.stop() == 0
    assert {letter.user_id for letter in letters()} <= {user for user, _, _, _ in POPULATED}


def _dead_letters(project: Path, sync: str) -> list[DeadLetter]:
    loaded = load_project(project).loaded
    assert loaded is not None
    with closing(open_reader(loaded)) as reader:
        return reader.deliveries.dead_letters(sync)
