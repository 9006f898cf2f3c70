"""`usher backfill`: conditions that came after their events are given their past."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dataflows.backfill import read_report, request_backfill
from tests.cli.jobs import Job, ended, eventually, job, now, running
from tests.cli.projects import DEFINITION, page, write_project
from tests.cli.test_changes import append, by_signal, define

# Nobody's views are counted by this one.
NOBODY: dict[str, Any] = {
    "parent_model": "users",
    "where": {"performed": "page_viewed", "where": {"path": "/none"}, "within": "1m"},
}
BEFORE = {"nobody": NOBODY}
VIEWERS = {
    "parent_model": "users",
    "where": {"performed": "page_viewed", "at_least": 2, "within": "1h"},
}
AFTER = {
    **BEFORE,
    "viewers": VIEWERS,
    "absent": {
        "parent_model": "users",
        "where": {"did_not_perform": "page_viewed", "within": "20m"},
    },
    "rare": {
        "parent_model": "users",
        "where": {
            "all": [
                {"performed": "page_viewed", "at_most": 1, "within": "24h"},
                {"property": "ltv", "exists": True},
            ]
        },
    },
}
MINUTE = 60.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a past: u1 and the stranger u3 viewed twice, u2 an hour and a half ago."""
    root = tmp_path / "project"
    define(root, BEFORE)
    append(root, page("u2", 1, now(-90 * MINUTE)), page("u2", 2, now(-90 * MINUTE)))
    append(root, page("u1", 3, now(-10 * MINUTE)), page("u1", 4, now(-5 * MINUTE)))
    append(root, page("u3", 5, now(-45 * MINUTE)), page("u3", 6, now(-30 * MINUTE)))
    return root


TRUTH = {("viewers", "u1"), ("viewers", "u3"), ("absent", "u2"), ("absent", "u3")}


def backfilled(root: Path, code: int = 0) -> str:
    """What `usher backfill` says, that ends with this code."""
    said = ended(root, "backfill", code=code).stderr
    assert "Traceback" not in said
    return said


def members(root: Path, *audiences: str) -> set[tuple[str, str]]:
    """Audiences and users."""
    found = set()
    for audience in audiences or AFTER:
        said = ended(root, "members", audience).stdout
        found |= {(audience, line.split()[1]) for line in said.splitlines()}
    return found


@contextmanager
def caught_up(root: Path) -> Iterator[Job]:
    """A job that has read what there is."""
    with running(root) as one:
        eventually((root / ".usher" / "state" / "in-use").exists, one)
        yield one


def test_a_running_job_is_asked_and_goes_on(project: Path) -> None:
    with caught_up(project) as one:
        define(project, AFTER)
        by_signal(one)
        one.await_told(("u1", "entered", "absent", "definition_changed"))
        assert members(project) & {("viewers", "u1"), ("rare", "u1")} == {("rare", "u1")}
        append(project, page("u2", 7, now()))
        one.await_told(("u2", "exited", "absent", "event"))
        said = backfilled(project)
        assert "usher: the running job sees to it" in said
        assert "usher: exact now: performed page_viewed at least 2 times within 1h" in said
        assert "warming" not in said
        one.await_told(
            ("u1", "entered", "viewers", "definition_changed"),
            ("u1", "exited", "absent", "definition_changed"),
            ("u3", "entered", "viewers", "definition_changed"),
        )
        assert members(project) == TRUTH - {("absent", "u2")}
        append(project, page("u2", 8, now()))
        one.await_told(("u2", "entered", "viewers", "event"))
        assert one.stop() == 0
    said = backfilled(project)
    assert said.splitlines()[-1] == "usher: nothing to backfill: no condition is warming"


def test_where_no_job_runs_only_the_truth_is_told(project: Path) -> None:
    with caught_up(project) as one:
        assert one.stop() == 0
    define(project, AFTER)
    with job(project, words=["backfill"]) as two:
        two.stdin.close()
        assert two.process.wait(120) == 0, two.errors()
        said = [line.split()[1:4] for line in two.lines()]
    assert sorted(said) == sorted(["entered", *one] for one in TRUTH)
    assert members(project) == TRUTH
    with running(project) as three:
        append(project, page("u1", 7, now()))
        three.await_told()
        assert three.stop() == 0
        assert three.told() == []
        assert "warming" not in three.errors()


def test_what_has_no_history_is_named(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "none").mkdir(parents=True)
    sources = {"web": {"type": "file", "format": "segment", "path": "-"}}
    define(root, BEFORE, sources=sources)
    with running(root) as one:
        one.stdin.write(page("u1", 1, now()).encode())
        one.stdin.flush()
        eventually((root / ".usher" / "state" / "in-use").exists, one)
        define(root, {**BEFORE, "viewers": VIEWERS}, sources=sources)
        by_signal(one)
        eventually(lambda: "warming" in one.errors(), one)
        said = backfilled(root)
        assert "exact now" not in said
        assert "warming, exact from 20" in said
        assert "usher: source 'web': standard input has no history" in said
        assert one.stop() == 0


def test_files_that_are_gone_are_not_taken_for_known(project: Path) -> None:
    with caught_up(project) as one:
        assert one.stop() == 0
    (project / "live" / "a.jsonl").unlink()
    append(project, page("u2", 7, now()))
    define(project, AFTER)
    said = backfilled(project)
    assert "exact now" not in said
    assert "usher: source 'web': files that it read are gone" in said
    assert said.count("warming, exact from") >= 3


def has_come_to(root: Path, share: float) -> bool:
    report = read_report(root / ".usher")
    return report is not None and report.done > share * report.size


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["run", "backfill"])
def test_a_job_that_is_killed_meanwhile_begins_again(project: Path, verb: str) -> None:
    lines = [page(f"c{number % 997}", f"c{number}", now(-MINUTE)) for number in range(400_000)]
    append(project, *lines)
    with caught_up(project) as one:
        assert one.stop() == 0
    define(project, AFTER)
    request_backfill(project / ".usher")
    report = project / ".usher" / "backfill-report"
    for share in (0.0, 0.2, 0.5):
        report.unlink(missing_ok=True)
        with job(project, words=[verb]) as two:
            eventually(partial(has_come_to, project, share), two)
            two.process.kill()
            two.process.wait()
    assert (project / ".usher" / "backfill").exists()
    with running(project) as three:
        eventually(lambda: "backfill: exact now" in three.errors(), three)
        assert three.stop() == 0
    assert not (project / ".usher" / "backfill").exists()
    crowd = {("viewers", f"c{number}") for number in range(997)}
    assert members(project) == TRUTH | crowd
    assert "nothing to backfill" in backfilled(project)


def test_a_parent_model_that_comes_later_is_given_its_past(project: Path) -> None:
    with caught_up(project) as one:
        assert one.stop() == 0
    accounts = {"from": {"csv": "users.csv"}, "primary_key": "user_id"}
    seen = {"source": "web", "type": "page", "parent_model": "accounts"}
    viewers = {"parent_model": "accounts", "where": {"performed": "seen", "within": "1h"}}
    define(
        project,
        {**BEFORE, "viewers": viewers},
        parent_models={**DEFINITION["parent_models"], "accounts": accounts},
        events={**DEFINITION["events"], "seen": seen},
    )
    with running(project) as two:
        eventually(lambda: "warming" in two.errors(), two)
        said = backfilled(project)
        assert "usher: exact now: performed seen at least once within 1h" in said
        assert two.stop() == 0
    assert members(project, "viewers") == {("viewers", "u1"), ("viewers", "u3")}


def test_beside_mistakes_nothing_is_asked(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    (root / "usher.yml").write_text("project: [")
    backfilled(root, 2)
    assert not (root / ".usher" / "backfill").exists()
