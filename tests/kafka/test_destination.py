"""A topic as a destination: every transition, in order for each user, or a sentence."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Thread

from audience_dsl.definitions import Settings
from connectors.destinations.destination import Verdict
from connectors.destinations.kafka import Kafka
from connectors.destinations.place import Place
from membership.deliveries import DeadLetter
from project.folder import load_project
from project.stores import open_reader
from tests.cli.jobs import eventually, now, running
from tests.cli.projects import changed, page, write_project
from tests.cli.test_run import POPULATED, append, archived
from tests.destinations.messages import message
from tests.kafka.broker import Broker
from tests.shared_servers import NewTopic


def test_a_broker_that_is_killed_loses_repeats_and_reorders_nothing(
    new_topic: NewTopic, own_broker: Broker
) -> None:
    """Each request is repeated as long as its answer says so; the client sends nothing twice."""
    topic = new_topic(3)
    users = [f"u{i}" for i in range(20)]

    async def through() -> None:
        options = {"topic": topic.name, "bootstrap_servers": topic.servers}
        place = Place(Path(), lambda _: None)
        one = Kafka(Settings("bus", "kafka", options), place, patience=1.0)
        restart = Thread(target=own_broker.start)
        for sequence in range(1, 101):
            waiting = [message(user, sequence) for user in users]
            if sequence == 50:
                own_broker.kill()
            while waiting:
                answer = await one.send(waiting)
                left = zip(waiting, answer.outcomes, strict=True)
                waiting = [
                    each for each, outcome in left if outcome.verdict is not Verdict.ACCEPTED
                ]
                if waiting and sequence >= 50 and restart.ident is None:
                    restart.start()
        restart.join()
        await one.close()

    asyncio.run(through())
    found: dict[str, list[int]] = {}
    for each in topic.messages():
        body = json.loads(each.value() or b"")
        found.setdefault(body["user_id"], []).append(body["sequence"])
    assert found == {user: list(range(1, 101)) for user in users}


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
