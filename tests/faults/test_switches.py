"""The warehouse changes while a job runs, which is killed around it: the journal is the oracle's.

Pulls are made beside the job, as by a process of their own.  When each took force, its transitions
say; that has to be one instant for all users, whatever was killed meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from dataflows.switches import SwitchJournal
from project.folder import load_project
from tests import oracle
from tests.cluster.workers import await_workers, cluster, kill, workers_of
from tests.faults.journal import journal
from tests.faults.processes import process
from tests.faults.story import DEFINITION, HOUR, Story, definition_of, now
from tests.faults.verdict import assert_true_in_the_end, begin
from warehouse.pull import pull

_DEFINITION = definition_of(
    audiences={
        **DEFINITION["audiences"],
        "vip": {"parent_model": "users", "where": {"property": "ltv", "at_least": 100}},
    },
    syncs=DEFINITION["syncs"],
)


class PulledStory(Story):
    """A story in which rows come, go and change."""

    def __init__(self, root: Path, seed: int) -> None:
        super().__init__(root, seed, _DEFINITION)
        self._first = dict(self._rows)
        self._pulled: dict[str, dict[str, dict[str, int]]] = {}

    def pull(self) -> str:
        """Change some rows, and publish a snapshot of them; its version."""
        for number in self.random.sample(range(200), 40):
            self._rows.pop(f"u{number}", None)
            if self.random.random() < 0.8:
                self._rows[f"u{number}"] = {"ltv": self.random.randrange(200)}
        lines = "".join(f"{user},{row['ltv']}\n" for user, row in self._rows.items())
        (self.root / "users.csv").write_text("user_id,ltv\n" + lines)
        loaded = load_project(self.root, {}).loaded
        assert loaded is not None
        version = pull(self.root, None, loaded.project.plans["users"], now()).version
        self._pulled[version] = dict(self._rows)
        return version

    def instants(self) -> dict[str, int]:
        """When the versions took force that have moved anybody."""
        found: dict[str, set[int]] = {}
        for one in journal(self.root):
            if one["cause"]["kind"] == "warehouse_pull":
                at = oracle.read_instant(one["effective_at"])
                found.setdefault(one["cause"]["pull"], set()).add(at)
        assert all(len(one) == 1 for one in found.values()), found
        return {version: at for version, (at,) in found.items()}

    @override
    def transitions(self, began: int = 0) -> list[oracle.Transition]:
        pulls = [(began, self._first)]
        pulls += [(at, self._pulled[version]) for version, at in self.instants().items()]
        users = {event.record["userId"] for event in self.events}
        users |= {user for _, rows in pulls for user in rows}
        found: list[oracle.Transition] = []
        for user in users:
            steps: list[tuple[int, int, oracle.Step]] = [
                (event.arrival, 1, event) for event in self.events if event.record["userId"] == user
            ]
            for at, rows in pulls:
                own = {user: rows[user]} if user in rows else {}
                steps.append((at, 0, oracle.Pull(at, own)))
            history = [step for *_, step in sorted(steps, key=lambda one: one[:2])]
            found += oracle.transitions(_DEFINITION, history, now() + self.ahead + HOUR)
        return found


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
