"""Jobs of several processes on files and SQLite: killed, rescaled, stopped, and given changes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from connectors.wall_clock import wall_clock
from tests.cli.jobs import eventually
from tests.cluster.workers import await_workers, cluster, kill, runs, workers_of
from tests.faults.journal import whole_lines
from tests.faults.processes import process
from tests.faults.story import DEFINITION, Story
from tests.faults.verdict import assert_true_in_the_end, await_stored

# Sources, so that there is something to divide.
DIVIDED = {
    **DEFINITION,
    "sources": {
        key: {"type": "file", "format": "segment", "path": path}
        for key, path in (("web", "live"), ("app", "live-too"))
    },
    "events": {
        **DEFINITION["events"],
        "app_opened": {"source": "app", "type": "page", "parent_model": "users"},
    },
}


def story_of(tmp_path: Path, seed: int) -> Story:
    """A story whose job has stored something, with one process."""
    story = Story(tmp_path / "project", seed, DIVIDED)
    (story.root / "live-too").mkdir()
    with process(story.root) as one:
        one.await_begin()
        story.go_on(0.3)
        await_stored(one, story.root, wall_clock())
        assert one.stop() == 0, one.said()
    return story


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_the_others_along_and_the_job_goes_on(tmp_path: Path) -> None:
    story = story_of(tmp_path, 1)
    with cluster(story.root, 2) as one:
        for _ in range(3):
            workers = workers_of(one.id)
            story.go_on(story.random.uniform(0.0, 1.5))
            kill(story.random.choice(workers))
            story.go_on(0.2)
            await_workers(one, story.root, 2, set(workers))
        story.go_on(0.5)
        assert one.stop() == 0, one.said()
        said = one.said()
    assert said.count("was killed by SIGKILL; the job starts again in") == 3, said
    assert "Traceback" not in said
    assert "panicked" not in said
    assert_true_in_the_end(story)


@pytest.mark.slow
def test_every_user_keeps_their_state_when_there_are_more_workers_and_fewer(tmp_path: Path) -> None:
    story = story_of(tmp_path, 2)
    for count, is_stopped in ((3, True), (2, False), (3, True)):
        with cluster(story.root, count) as one:
            story.go_on(1.5)
            if is_stopped:
                assert one.stop() == 0, one.said()
            else:
                one.kill()
    assert_true_in_the_end(story)


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    story = story_of(tmp_path, 3)
    with process(story.root, "--workers", "2") as one:
        one.await_begin()
        # Before they have met, and wait for each other in code that is not ours; and after.
        workers = eventually(lambda: found if len(found := workers_of(one.id)) == 2 else [])
        one.kill()
    eventually(lambda: not any(map(runs, workers)))
    with cluster(story.root, 2) as two:
        workers = workers_of(two.id)
        story.go_on(0.3)
        two.kill()
    with process(story.root) as three:  # it waits for them
        three.await_begin()
        assert not any(map(runs, workers))
        assert three.stop() == 0, three.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_for_the_whole_group_stop_the_job_in_good_order(
    tmp_path: Path, number: signal.Signals
) -> None:
    story = story_of(tmp_path, 4)
    with cluster(story.root, 2) as one:
        story.go_on(0.3)
        for worker in workers_of(one.id):
            os.kill(worker, number)
        os.kill(one.id, number)
        assert one.end() == 0, one.said()
        assert "events read" in one.said().splitlines()[-1]
        assert "killed" not in one.said()
    with process(story.root) as two:
        two.await_begin()
        assert two.stop() == 0
        # Nothing was read a second time.
        assert "stopped; 0 events read" in two.said()


def test_changed_definitions_take_force_in_all_workers(tmp_path: Path) -> None:
    story = story_of(tmp_path, 5)
    with cluster(story.root, 2) as one:
        before = workers_of(one.id)
        definition = json.loads((story.root / "usher.yml").read_text())
        definition["audiences"]["listed"] = {
            "parent_model": "users",
            "where": {"property": "ltv", "at_least": 0},
        }
        (story.root / "usher.yml").write_text(json.dumps(definition))
        os.kill(one.id, signal.SIGHUP)
        eventually(lambda: len(entries(one.out, "listed")) == 150)
        assert not set(before) & set(workers_of(one.id))
        assert one.stop() == 0, one.said()
        causes = {entry["cause"]["kind"] for entry in entries(one.out, "listed")}
    assert causes == {"definition_changed"}


def entries(out: Path, audience: str) -> list[dict[str, Any]]:
    """What was printed of an audience."""
    return [record for record in whole_lines(out) if record["audience"] == audience]


def test_damaged_state_ends_the_job_with_a_sentence(tmp_path: Path) -> None:
    story = story_of(tmp_path, 6)
    state = next((story.root / ".usher" / "state").glob("*.log"))
    state.write_bytes(state.read_bytes()[:-1])
    with process(story.root, "--workers", "2") as one:
        assert one.end() == 3
        assert "start with --rebuild" in one.said().splitlines()[-1]
    with cluster(story.root, 2, "--rebuild") as two:
        assert two.stop() == 0, two.said()


def test_workers_that_die_again_and_again_end_the_job(tmp_path: Path) -> None:
    story = story_of(tmp_path, 7)
    (story.root / ".usher" / "snapshots" / "users" / "current").read_text()
    with process(story.root, "--workers", "2") as one:
        killed: set[int] = set()
        while one.runs:
            for worker in set(workers_of(one.id)) - killed:
                killed.add(worker)
                kill(worker)
        assert one.end() == 3
        assert "5 starts in a row have ended like this" in one.said().splitlines()[-1]
        assert "Traceback" not in one.said()
