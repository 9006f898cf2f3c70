"""A job between two topics of a broker that pip alone installs: Kafka's protocol without Java."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Message

from examples.kafka.broker import Tansu
from tests.cli.jobs import eventually, now, running
from tests.cli.projects import changed, page, write_project
from tests.kafka.broker import Topic, await_broker


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    broker = Tansu(tmp_path_factory.mktemp("tansu"))
    await_broker(broker.servers)
    yield broker.servers
    broker.process.kill()
    broker.process.wait()


def test_a_job_reads_one_topic_and_writes_another(servers: str, tmp_path: Path) -> None:
    web, bus = Topic(servers, 3), Topic(servers, 3)
    at = {"bootstrap_servers": servers}
    root = write_project(
        tmp_path / "project",
        changed(
            sources={"web": {"type": "kafka", "format": "segment", "topic": web.name, **at}},
            destinations={"bus": {"type": "kafka", "topic": bus.name, **at}},
            syncs={"keen": {"audience": "keen", "destination": "bus"}},
        ),
    )
    with running(root) as one:
        for number in range(2):
            web.send(page("u1", number, now()), partition=1, key="u1")
        one.await_told(
            ("u1", "entered", "keen", "event"), ("u1", "exited", "keen", "window_expired")
        )
        eventually(lambda: len(bus.messages()) >= 2, one)
        assert one.stop() == 0
        assert "Traceback" not in one.errors()
    assert [told(one) for one in bus.messages()] == [("u1", "entered"), ("u1", "exited")]


def told(message: Message) -> tuple[str, str]:
    record = json.loads(message.value() or b"")
    assert (message.key() or b"").decode() == record["user_id"]
    return record["user_id"], record["type"]
