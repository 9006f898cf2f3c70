"""`usher run` on a topic: real job, real broker, both killed and started again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.jobs import ended, eventually, finished, now, running
from tests.cli.projects import DEFINITION, changed, page, write_project
from tests.cli.test_run import POPULATED, archived, assert_sound
from tests.kafka.broker import Broker, Topic
from tests.shared_servers import NewTopic


def project_on(folder: Path, topic: Topic, **options: Any) -> Path:
    source = {
        "type": "kafka",
        "format": "segment",
        "topic": topic.name,
        "bootstrap_servers": topic.servers,
    }
    return write_project(folder / "project", changed(sources={"web": source | options}))


@pytest.fixture
def project(tmp_path: Path, topic: Topic) -> Path:
    return project_on(tmp_path, topic)


def view(user: str, number: int | str) -> str:
    return page(user, number, now())


def test_entries_and_exits_as_messages_come_and_as_none_come(project: Path, topic: Topic) -> None:
    with running(project) as one:
        one.await_told(*POPULATED)
        sent = time.time()
        topic.send(view("u1", 1), view("u1", 2), view("u2", 3))
        topic.send(None, "{broken", page("", 4, now()))
        one.await_told(
            ("u1", "entered", "keen", "event"),
            ("u1", "exited", "keen", "window_expired"),
            ("u1", "entered", "quiet", "window_expired"),
            ("u2", "exited", "quiet", "event"),
            ("u2", "entered", "quiet", "window_expired"),
        )
        assert one.stop() == 0
        assert one.errors().splitlines()[-1] == (
            "usher: stopped; 6 events read, 1 ignored, 2 invalid"
        )
        transitions = one.transitions()
    assert_sound(transitions)
    (entered, _left) = archived(project)
    # The broker's timestamp has milliseconds, and is what counts.
    assert entered["effective_at"].endswith("000Z")
    assert now(sent - time.time() - 1) <= entered["effective_at"] <= now()
    letters = (project / ".usher" / "dead-letters.jsonl").read_text().splitlines()
    places = [(letter["file"], letter["line"]) for letter in map(json.loads, letters)]
    assert places == [(f"{topic.name}/0", 4), (f"{topic.name}/0", 5)]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_many_partitions(tmp_path: Path, new_topic: NewTopic, workers: str) -> None:
    topic = new_topic(16)
    project = project_on(tmp_path, topic)
    for number in range(400):
        user = number % 100
        topic.send(view(f"c{user}", number), partition=user % 16)
    with running(project, "--workers", workers) as one:
        for number in range(400, 600):
            topic.send(view(f"c{number % 100}", number), partition=number % 100 % 16)
        wanted = [(f"c{user}", "entered", "quiet", "window_expired") for user in range(100)]
        one.await_told(*wanted)
        assert one.stop() == 0
        assert "600 events read, 0 ignored, 0 invalid" in one.errors()
        assert_sound(one.transitions())


def test_a_job_that_is_killed_reads_on_where_its_state_was_stored(
    project: Path, topic: Topic
) -> None:
    with running(project) as one:
        one.await_told(*POPULATED)
        topic.send(view("u1", 1))
        one.await_told(("u1", "exited", "quiet", "event"))
        assert one.stop() == 0
    with running(project) as two:
        topic.send(view("u1", 2), view("u1", 4))
        two.await_told(("u1", "entered", "keen", "event"))
        two.process.kill()
        two.process.wait()
    topic.send(view("u2", 3))
    with running(project) as three:
        three.await_told(("u2", "entered", "quiet", "window_expired"))
        eventually(lambda: "exited" in {one["type"] for one in archived(project)}, three)
        assert three.stop() == 0
        # What was read after the last stored state is read again, and nothing else.
        assert "3 events read" in three.errors()
    once = {one["id"]: one for one in archived(project)}
    assert [(one["type"], one["sequence"]) for one in once.values()] == [
        ("entered", 1),
        ("exited", 2),
    ]


def test_a_broker_that_is_killed_delays_the_job_and_nothing_else(
    project: Path, topic: Topic, own_broker: Broker
) -> None:
    with running(project) as one:
        one.await_told(*POPULATED)
        topic.send(view("u1", 1), view("u1", 2))
        one.await_told(("u1", "entered", "keen", "event"))
        own_broker.kill()
        eventually(lambda: "out of reach" in one.errors(), one)
        own_broker.start()
        topic.send(view("u2", 3))
        one.await_told(
            ("u1", "exited", "keen", "window_expired"),
            ("u2", "entered", "quiet", "window_expired"),
        )
        assert one.stop() == 0
        assert "is there again" in one.errors()
        assert "Traceback" not in one.errors()
        assert_sound(one.transitions())


def test_a_job_stops_in_good_order_while_the_broker_is_down(
    project: Path, topic: Topic, own_broker: Broker
) -> None:
    with running(project) as one:
        topic.send(view("u1", 1))
        one.await_told(("u1", "exited", "quiet", "event"))
        own_broker.kill()
        try:
            eventually(lambda: "out of reach" in one.errors(), one)
            assert one.stop() == 0
        finally:
            own_broker.start()
    topic.send(view("u2", 2))
    with running(project) as two:
        two.await_told(("u2", "entered", "quiet", "window_expired"))
        assert two.stop() == 0
        assert "usher: stopped; 1 events read" in two.errors()


def test_missing_offsets_are_a_sentence(project: Path, topic: Topic) -> None:
    with running(project) as one:
        topic.send(view("u1", 1))
        one.await_told(("u1", "exited", "quiet", "event"))
        assert one.stop() == 0
    topic.send(*[view("u1", number) for number in range(2, 9)])
    topic.truncate(0, 5)
    code, said = finished(project)
    assert code == 3, said
    assert said.splitlines()[-1].startswith(
        f"usher: source 'web': 4 offsets are missing in partition 0 of topic '{topic.name}'"
    )
    assert "Traceback" not in said
    assert "panicked" not in said
    with running(project, "--rebuild") as two:
        topic.send(view("u2", 9))
        two.await_told(("u2", "exited", "quiet", "event"))
        assert two.stop() == 0


def test_a_topic_that_is_deleted_ends_the_job(project: Path, topic: Topic) -> None:
    with running(project) as one:
        topic.send(view("u1", 1))
        one.await_told(("u1", "exited", "quiet", "event"))
        topic.delete()
        assert one.process.wait(60) == 3
        assert f"usher: source 'web': topic '{topic.name}' does not exist any more" in one.errors()


def test_a_broker_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    kafka = {"type": "kafka", "format": "segment", "topic": "t", "bootstrap_servers": "127.0.0.1:1"}
    project = write_project(tmp_path / "project", changed(sources={"web": kafka}))
    code, said = finished(project)
    assert code == 3
    *_, waiting, refused = said.splitlines()
    assert waiting.startswith("usher: source 'web': Kafka at 127.0.0.1:1 is out of reach (")
    assert refused.startswith("usher: source 'web': Kafka at 127.0.0.1:1 cannot be reached: ")
    assert "Connection refused" in refused


def test_the_group_shows_how_far_the_job_has_come(tmp_path: Path, topic: Topic) -> None:
    project = project_on(tmp_path, topic, group="shown")
    assert DEFINITION["project"] == "tiny"
    with running(project) as one:
        topic.send(view("u1", 1), view("u1", 2))
        one.await_told(("u1", "entered", "keen", "event"))
        assert one.stop() == 0
    assert topic.committed("shown") == {0: 2}


def test_a_topic_is_no_recording(project: Path) -> None:
    done = ended(project, "backtest", "--source", "web", code=2)
    said = "usher: source 'web' has no recorded files; name some with --events PATH\n"
    assert done.stderr == said
