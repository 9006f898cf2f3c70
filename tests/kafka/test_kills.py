"""Jobs between two topics, killed at random points like their broker, and started again."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.journal import assert_one_content, journal
from tests.faults.kills import doomed, ended
from tests.faults.shares import KAFKA_STORIES, KILLS
from tests.faults.verdict import assert_true_in_the_end, begin
from tests.kafka.broker import Broker
from tests.kafka.story import TopicStory
from tests.shared_servers import NewTopic

# Users of whom it is not known when the job was given their events, at most.
_TARDY = 0.8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 100 + KAFKA_STORIES))
def test_a_job_and_its_broker_that_are_killed_end_with_the_truth(
    tmp_path: Path, new_topic: NewTopic, own_broker: Broker, seed: int
) -> None:
    story = TopicStory(tmp_path / "project", seed, new_topic(6), new_topic(3))
    begin(story)
    broker_dies = story.random.sample(range(KILLS), 2)
    kills = 0
    while kills < KILLS:
        story.go_on(story.random.uniform(0.0, 0.3))  # while nothing runs
        workers = str(story.random.choice((1, 1, 2, 3)))
        with doomed(story, "--workers", workers) as one:
            if kills in broker_dies:
                own_broker.kill()
                # The job may die before its broker is there again, or after.
                lives = story.random.random() < 0.5
                if not lives:
                    one.kill()
                own_broker.start()
                story.reconnect()
                story.go_on(story.random.uniform(0.0, 1.5))
            code = ended(story, one)
            if code == 3:  # it was about to connect when its broker died
                assert kills in broker_dies
                assert "usher: source 'web': " in one.said()
                assert "Traceback" not in one.said()
            else:
                assert code in {0, -signal.SIGKILL}, one.said()
            kills += code == -signal.SIGKILL
    assert_true_in_the_end(story)
    assert_delivered(story)
    users = {event.record["userId"] for event in story.events}
    assert len(story.tardy) <= _TARDY * len(users)


def assert_delivered(story: TopicStory) -> None:
    """Every transition is in the topic, with one content, and of each user in its order."""
    entries, delivered = journal(story.root), story.delivered()
    assert_one_content(entries, delivered)
    assert {one["id"] for one in delivered} == {one["id"] for one in entries}
    heads: dict[tuple[Any, Any], int] = {}
    for one in delivered:
        member = one["user_id"], one["audience"]
        assert one["sequence"] <= heads.get(member, 0) + 1, one
        heads[member] = max(heads.get(member, 0), one["sequence"])
