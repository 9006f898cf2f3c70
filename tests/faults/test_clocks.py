"""The clock of the machine is set while a job runs: forward and back, by minutes and by a day."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from audience_dsl.instants import format_instant
from connectors.wall_clock import wall_clock
from tests.cli.jobs import Job, eventually, running
from tests.faults.journal import journal
from tests.faults.story import Story
from tests.faults.verdict import assert_true_in_the_end
from tests.faults.wall import MISSING, WallClock

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

SECOND = 1_000_000
MINUTE, DAY = 60, 24 * 60 * 60


class Stepping:
    """A story whose clock is set again and again, and the latest instant that it has shown."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.clock = WallClock(folder)
        self.story = Story(folder / "project", seed)
        self._latest = 0
        self._told = 0

    def set(self, ahead: int) -> None:
        self.check()
        self.clock.set(ahead)
        self.story.set_clock(ahead * SECOND)

    def check(self) -> None:
        """Nobody was told to have left, or to have come, before the clock was there."""
        entries = journal(self.story.root)
        self._latest = max(self._latest, wall_clock() + self.story.ahead)
        latest = format_instant(self._latest)
        for one in entries[self._told :]:
            assert one["effective_at"] <= latest, one
        self._told = len(entries)

    def await_read(self, one: Job) -> None:
        """Until the job has told of an event that happens now."""
        user = f"marker-{len(self.story.events)}"
        self.story.happen_to(user)
        eventually(lambda: any(told["user_id"] == user for told in one.transitions()), one)


def test_a_job_whose_clock_is_set_goes_on_and_is_never_early(tmp_path: Path) -> None:
    stepping = Stepping(tmp_path, 20)
    chance = random.Random(20)
    with running(stepping.story.root, command=stepping.clock.command(stepping.story.root)) as one:
        stepping.await_read(one)
        for ahead in (5 * MINUTE, -5 * MINUTE, DAY, 0, 2 * DAY):
            back = stepping.clock.ahead - ahead
            stepping.set(ahead)
            # The job looks at it every second.
            stepping.story.go_on(chance.uniform(1.5, 2.5))
            if back > 0:
                told = f"the clock was set back by {back} s"
                eventually(lambda: told in one.errors(), one)  # noqa: B023
            stepping.await_read(one)
        stepping.check()
        assert one.stop() == 0, one.errors()
        assert "Traceback" not in one.errors()
    assert_true_in_the_end(stepping.story)


def test_state_is_stored_although_the_clock_was_set_back(tmp_path: Path) -> None:
    stepping = Stepping(tmp_path, 21)
    command = stepping.clock.command(stepping.story.root)
    with running(stepping.story.root, command=command) as one:
        stepping.story.go_on(0.5)
        stepping.await_read(one)
        stepping.set(-DAY)
        eventually(lambda: "the clock was set back by 86400 s" in one.errors(), one)
        eventually(lambda: one.errors().count("usher: running") == 2, one)
        stepping.story.go_on(2.0)
        stepping.await_read(one)
        stepping.story.go_on(2.0)
        one.process.kill()
        one.process.wait()
    before = len(stepping.story.events)
    with running(stepping.story.root, command=command) as two:
        stepping.await_read(two)
        assert two.stop() == 0, two.errors()
        read = int(two.errors().splitlines()[-1].split()[2].replace(",", ""))
    assert read < before
    stepping.set(0)
    assert_true_in_the_end(stepping.story)
