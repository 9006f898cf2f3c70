"""The warehouse changes while a job runs, which is killed around it: the journal is the oracle's.

Pulls are made beside the job, as by a process of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dataflows.switches import SwitchJournal
from tests.cluster.workers import await_workers, cluster, kill, workers_of
from tests.faults.processes import process
from tests.faults.pulled import PulledStory
from tests.faults.story import Story
from tests.faults.verdict import assert_true_in_the_end, begin


def announced(story: Story) -> Sequence[str]:
    """The versions of the switches that the job has written down."""
    journal = SwitchJournal(story.root / ".usher")
    return [one.versions["users"] for one in journal.read()]


def test_a_running_job_lets_pulls_take_force(tmp_path: Path) -> None:
    story = PulledStory(tmp_path / "project", 1)
    begin(story)
    with process(story.root) as one:
        one.await_begin()
        for _ in range(3):
            story.go_on(0.3)
            version = story.pull()
            story.go_on(0.5)
            while version not in story.instants():
                story.go_on(0.05)
        assert one.stop() == 0, one.said()
        assert "Traceback" not in one.said()
    assert_true_in_the_end(story)


@pytest.mark.parametrize("seed", range(2))
def test_a_job_that_is_killed_around_a_switch_repeats_it(tmp_path: Path, seed: int) -> None:
    story = PulledStory(tmp_path / "project", 10 + seed)
    begin(story)
    for _ in range(4):
        with process(story.root) as one:
            one.await_begin()
            story.go_on(0.2)
            version = story.pull()
            if story.random.random() < 0.7:
                while version not in announced(story):
                    story.go_on(0.02)
            story.go_on(story.random.uniform(0.0, 0.4))
            one.kill()
        story.go_on(0.1)
    assert_true_in_the_end(story)


def test_workers_that_are_killed_around_a_switch_repeat_it(tmp_path: Path) -> None:
    story = PulledStory(tmp_path / "project", 20)
    begin(story)
    with cluster(story.root, 2) as one:
        for _ in range(2):
            workers = workers_of(one.id)
            story.go_on(0.3)
            version = story.pull()
            while version not in announced(story):
                story.go_on(0.05)
            story.go_on(story.random.uniform(0.0, 0.4))
            kill(story.random.choice(workers))
            story.go_on(0.2)
            await_workers(one, story.root, 2, set(workers))
        assert one.stop() == 0, one.said()
    assert_true_in_the_end(story)
