"""A topic's history: from an instant on, up to where a job had read it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from audience_dsl.definitions import Settings
from connectors.sources.chunks import Chunk
from connectors.sources.history import ALL_KNOWN
from connectors.sources.kafka.history import KafkaHistory
from connectors.sources.kafka.source import KafkaSource
from connectors.wall_clock import wall_clock
from tests.cli.jobs import eventually, running
from tests.cli.projects import page
from tests.cli.test_backfill import NOBODY, VIEWERS, backfilled, members
from tests.cli.test_changes import by_signal, define
from tests.kafka.broker import Topic
from tests.kafka.test_run import view
from tests.shared_servers import NewTopic

SECOND = 1_000_000
MINUTE = 60 * SECOND


def settings_of(topic: Topic) -> Settings:
    options = {"topic": topic.name, "bootstrap_servers": topic.servers}
    return Settings("web", "kafka", options)


def position_at_end(topic: Topic) -> bytes:
    source = KafkaSource(settings_of(topic), "reads", print).follow([])

    def at_end() -> bool:
        source.poll(1 << 20)
        return source.caught_up

    eventually(at_end)
    position = source.position()
    source.close()
    return position


def read(history: KafkaHistory) -> list[str]:
    chunks: list[Chunk] = []
    while not history.ended:
        chunk = history.poll()
        chunks += [] if chunk is None else [chunk]
    history.close()
    return sorted(
        chunk.line(place).decode() for chunk in chunks for place in range(len(chunk.lines.starts))
    )


def instant(minutes: float) -> int:
    return wall_clock() + round(minutes * MINUTE)


def sent(topic: Topic, text: str, minutes: float, partition: int = 0) -> None:
    topic.send(text, partition=partition, at=instant(minutes) // 1_000)


def history_of(topic: Topic, position: bytes | None, minutes: float) -> KafkaHistory:
    return KafkaHistory(
        settings_of(topic), "reads", print, [] if position is None else [position], instant(minutes)
    )


def test_what_is_young_enough_and_was_read(new_topic: NewTopic) -> None:
    topic = new_topic(3)
    sent(topic, '"old"', -50)
    sent(topic, '"a"', -20)
    sent(topic, '"late"', -40)
    sent(topic, '"b"', -5, 1)
    position = position_at_end(topic)
    sent(topic, '"c"', 0)
    sent(topic, '"d"', 0, 2)
    history = history_of(topic, position, -30)
    assert history.size == 3
    assert read(history) == ['"a"', '"b"', '"late"']
    assert history.known_since == ALL_KNOWN
    assert read(history_of(topic, None, -30)) == []


def test_deleted_messages_are_known_to_be_missing(new_topic: NewTopic) -> None:
    topic = new_topic(2)
    for minutes in (-50, -20, -10):
        sent(topic, f'"{minutes}"', minutes)
    sent(topic, '"b"', -14, 1)
    position = position_at_end(topic)
    topic.truncate(0, 1)
    young = history_of(topic, position, -15)
    assert read(young) == ['"-10"', '"b"']
    assert young.known_since == ALL_KNOWN
    cut = history_of(topic, position, -30)
    assert read(cut) == ['"-10"', '"-20"', '"b"']
    assert instant(-21) < cut.known_since < instant(-19)
    assert cut.lack == "older messages are deleted"
    topic.truncate(1, 1)
    none = history_of(topic, position, -30)
    assert read(none) == ['"-10"', '"-20"']
    assert instant(-15) < none.known_since < instant(-13)


def test_a_running_job_is_given_the_past(tmp_path: Path, topic: Topic) -> None:
    project = tmp_path / "project"
    source = {"type": "kafka", "format": "segment", "topic": topic.name}
    sources: dict[str, Any] = {"web": source | {"bootstrap_servers": topic.servers}}
    define(project, {"nobody": NOBODY}, sources=sources)
    for number, (user, minutes) in enumerate([("u1", -70), ("u1", -50), ("u2", -30), ("u2", -2)]):
        text = time.strftime("%FT%TZ", time.gmtime(time.time() + 60 * minutes))
        sent(topic, page(user, number, text), minutes)
    with running(project) as one:
        eventually((project / ".usher" / "state" / "in-use").exists, one)
        define(project, {"nobody": NOBODY, "viewers": VIEWERS}, sources=sources)
        by_signal(one)
        eventually(lambda: "warming" in one.errors(), one)
        topic.send(view("u1", "live"))
        said = backfilled(project)
        assert "usher: exact now: performed page_viewed at least 2 times within 1h" in said
        one.await_told(("u2", "entered", "viewers", "definition_changed"))
        # One view 50 minutes ago and one just now: either may be counted first.
        eventually(lambda: ("u1", "entered", "viewers") in {t[:3] for t in one.told()}, one)
        assert members(project, "nobody", "viewers") == {("viewers", "u1"), ("viewers", "u2")}
        assert one.stop() == 0
