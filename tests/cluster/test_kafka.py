"""Jobs of several processes between topics, with the store in PostgreSQL."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from connectors.wall_clock import wall_clock
from tests.cli.jobs import eventually
from tests.cluster.workers import await_workers, cluster, kill, workers_of
from tests.faults.journal import journal
from tests.faults.processes import process
from tests.faults.verdict import assert_true_in_the_end, await_stored
from tests.kafka.broker import Topic
from tests.kafka.story import TopicStory
from tests.kafka.test_kills import assert_delivered
from tests.membership.servers import PostgresServer
from tests.shared_servers import NewTopic

PARTITIONS = 7


@pytest.fixture
def events(new_topic: NewTopic) -> Topic:
    return new_topic(PARTITIONS)


@pytest.fixture
def story(
    tmp_path: Path, events: Topic, new_topic: NewTopic, postgres: PostgresServer
) -> TopicStory:
    story = TopicStory(tmp_path / "project", 21, events, new_topic(2))
    definition = json.loads((story.root / "usher.yml").read_text())
    schema = f"usher_{os.urandom(4).hex()}"
    definition["store"] = {"type": "postgres", "url": postgres.url, "schema": schema}
    (story.root / "usher.yml").write_text(json.dumps(definition))
    with process(story.root) as one:
        one.await_begin()
        story.go_on(0.3)
        await_stored(one, story.root, wall_clock())
        assert one.stop() == 0, one.said()
    return story


@pytest.mark.slow
def test_every_user_keeps_their_state_while_partitions_move(
    story: TopicStory, events: Topic
) -> None:
    with cluster(story.root, 3) as one:
        story.go_on(1.5)
        workers = workers_of(one.id)
        kill(story.random.choice(workers))
        story.go_on(0.5)
        await_workers(one, story.root, 3, workers)
        story.go_on(1.0)
        assert one.stop() == 0, one.said()
    story.go_on(0.3)  # while nothing runs
    with cluster(story.root, 2) as two:
        story.go_on(1.0)
        two.kill()
    assert_true_in_the_end(story)
    assert_delivered(story)


@pytest.mark.slow
def test_partitions_that_are_added_are_read_by_the_worker_whose_share_they_are(
    story: TopicStory, events: Topic
) -> None:
    with cluster(story.root, 2) as one:
        events.enlarge(PARTITIONS + 4)
        story.go_on(0.5)  # of keys that go elsewhere now
        sent = len(story.events)
        for number in range(PARTITIONS + 4):
            story.happen_to(f"u9{number:02d}")
        said = {event.record["userId"] for event in story.events[sent:]}
        eventually(lambda: said <= {entry["user_id"] for entry in journal(story.root)})
        assert one.stop() == 0, one.said()
