"""Jobs that are killed at random points, and go on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.harm import Harm
from tests.faults.kills import doomed, ended
from tests.faults.processes import process
from tests.faults.shares import FILE_STORIES, KILLS
from tests.faults.story import Story
from tests.faults.verdict import assert_true_in_the_end, begin


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FILE_STORIES))
def test_a_job_that_is_killed_again_and_again_ends_with_the_truth(
    tmp_path: Path, seed: int
) -> None:
    story = Story(tmp_path / "project", seed)
    begin(story)
    kills = 0
    while kills < KILLS:
        with doomed(story) as one:
            code = ended(story, one)
            assert code in {0, -signal.SIGKILL}, one.said()
            kills += code != 0
    assert_true_in_the_end(story)


@pytest.mark.parametrize("seed", range(3))
def test_a_job_that_is_killed_before_it_has_stored_anything_keeps_the_truth(
    tmp_path: Path, seed: int
) -> None:
    story = Story(tmp_path / "project", seed)
    for kill_at in (1, 4, 20, 60, 64, 65):  # the first epoch needs one more
        with process(story.root, harm=Harm(kill_at=kill_at)) as one:
            one.await_begin()
            story.go_on(0.1)
            assert one.end() == -9, one.said()
    assert_true_in_the_end(story, since_the_first_start=False)
