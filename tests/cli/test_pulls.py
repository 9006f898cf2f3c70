"""Pulls by hand and by a running job; what the history and the freshness say of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.jobs import PATIENCE, USHER, eventually, running
from tests.cli.projects import changed, write_project

RICH = {"parent_model": "users", "where": {"property": "ltv", "greater_than": 100}}
PAGES = {"parent_model": "users", "where": {"did_not_perform": "page_viewed", "within": "2s"}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def usher(root: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [USHER, "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, done
    return done


def facts(root: Path, *arguments: str) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in usher(root, *arguments, "--format", "json").stdout.splitlines()
    ]


def define(root: Path, **sections: Any) -> None:
    (root / "usher.yml").write_text(json.dumps(changed(**sections)))


def states(root: Path) -> dict[str, str]:
    return {one["audience"]: one["state"] for one in facts(root, "freshness")}


def test_pulls_by_hand(project: Path) -> None:
    (before,) = {one["state"] for one in facts(project, "freshness")}
    assert before == "pending"
    (first,) = facts(project, "pull")
    assert (first["status"], first["trigger"], first["extent"]) == (
        "succeeded",
        "on_demand",
        "full",
    )
    assert (first["rows"], first["moved"], first["error"]) == (2, 2, None)
    assert states(project) == {"keen": "current", "quiet": "current"}
    (project / "users.csv").write_text("user_id,ltv\nu1,20\n")
    refused = usher(project, "pull", "users", code=3)
    assert refused.stderr == (
        "usher: parent model users: it has 1 rows, where there were 2: 50.0% fewer, and `pull: "
        "max_shrink` is 20%; if that is meant, run: usher pull users --allow-shrink\n"
    )
    assert "failed" in usher(project, "pulls").stdout.splitlines()[0]
    assert facts(project, "freshness")[0]["snapshot"]["version"] == first["version"]
    (shrunk,) = facts(project, "pull", "users", "--allow-shrink")
    assert (shrunk["rows"], shrunk["moved"]) == (1, 1)
    (back,) = facts(project, "pull", "users", "--rollback")
    assert (back["extent"], back["version"], back["moved"]) == ("rollback", first["version"], 1)
    assert "there is no earlier version" in usher(project, "pull", "--rollback", code=3).stderr
    history = facts(project, "pulls", "users")
    assert [one["status"] for one in history] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert len(facts(project, "pulls", "--limit", "2")) == 2
    assert facts(project, "freshness")[0]["last_pull"] == {
        key: value for key, value in back.items() if key != "parent_model"
    }


def test_verbs_that_are_asked_for_nonsense(project: Path) -> None:
    for verb in ("pull", "pulls"):
        refused = usher(project, verb, "nobody", code=2)
        assert refused.stderr == "usher: unknown parent model 'nobody'; the project has users\n"
    assert "says nothing" in usher(project, "pull", "--rollback", "--full", code=2).stderr.replace(
        "say nothing", "says nothing"
    )


def test_definitions_that_need_a_pull_wait_for_it(project: Path) -> None:
    with running(project) as one:
        one.await_told(("u1", "entered", "quiet", "initial"))
        (project / "users.csv").rename(project / "away.csv")
        new = {"parent_model": "users", "where": {"property": "age", "exists": False}}
        define(
            project,
            audiences={"quiet": PAGES, "new": new},
            parent_models={
                "users": {
                    "from": {"csv": "users.csv"},
                    "primary_key": "user_id",
                    "properties": {"age": "number"},
                }
            },
        )
        eventually(lambda: "it is tried again in 5 s" in one.errors(), one)
        assert "answers; the job goes on with those before until that is pulled" in one.errors()
        assert states(project) == {"new": "pending", "quiet": "current"}
        assert facts(project, "pulls", "users")[0]["trigger"] == "definition"
        (project / "users.csv").write_text("user_id,ltv,age\nu1,20,5\nu2,5,\n")
        one.await_told(("u2", "entered", "new", "initial"))
        assert states(project) == {"new": "current", "quiet": "current"}
        pulls = facts(project, "pulls", "users")
        assert (pulls[0]["extent"], pulls[0]["status"]) == ("full", "succeeded")
        # What is new of columns that are known needs no warehouse.
        (project / "users.csv").unlink()
        old = {"parent_model": "users", "where": {"property": "age", "at_least": 5}}
        properties: dict[str, Any] = {
            "users": {
                "from": {"csv": "users.csv"},
                "primary_key": "user_id",
                "properties": {"age": "number"},
            }
        }
        define(project, audiences={"quiet": PAGES, "old": old}, parent_models=properties)
        one.await_told(("u1", "entered", "old", "initial"))
        assert facts(project, "pulls", "users")[0]["extent"] == "partial"
        assert one.stop() == 0


def aged(root: Path) -> None:
    """Make the snapshot in force a year older than it is."""
    folder = root / ".usher" / "snapshots" / "users"
    manifest = folder / (folder / "current").read_text().strip() / "manifest.json"
    old = json.loads(manifest.read_text())
    year = 365 * 86_400_000_000
    manifest.write_text(json.dumps({**old, "read_at": old["read_at"] - year}))


def test_a_job_starts_with_an_old_snapshot_and_recovers_by_itself(project: Path) -> None:
    facts(project, "pull")
    aged(project)
    (project / "users.csv").rename(project / "away.csv")
    assert set(states(project).values()) == {"stale"}
    with running(project) as one:
        one.await_told(("u1", "entered", "quiet", "initial"))
        eventually(lambda: "users is stale: its rows are those of" in one.errors(), one)
        eventually(lambda: "what is in force stays, and it is tried again" in one.errors(), one)
        assert facts(project, "pulls")[0]["status"] == "failed"
        assert set(states(project).values()) == {"stale"}
        (project / "away.csv").rename(project / "users.csv")
        eventually(lambda: "users: pulled 2 rows, 0 users moved" in one.errors(), one)
        eventually(lambda: "users is current again" in one.errors(), one)
        assert facts(project, "pulls")[0]["trigger"] == "scheduled"
        assert one.stop() == 0


def test_an_early_version_stays_until_the_next_pull_is_due(project: Path) -> None:
    facts(project, "pull")
    facts(project, "pull")
    aged(project)
    (back,) = facts(project, "pull", "--rollback")
    aged(project)
    found = facts(project, "freshness")[0]
    assert found["state"] == "current"
    assert found["next_pull"] > back["pull_date"]


def test_pulls_that_are_killed_leave_nothing_behind(project: Path, tmp_path: Path) -> None:
    (first,) = facts(project, "pull")
    folder = project / ".usher" / "snapshots" / "users"
    os.mkfifo(project / "pipe.csv")
    define(
        project,
        parent_models={
            "users": {
                "from": {"csv": "users.csv"},
                "primary_key": "user_id",
                "properties": {"ltv": "number"},
            }
        },
    )
    for step in STEPS:
        process = subprocess.run(
            [*interrupted(step), "-C", str(project), "pull"], check=False, timeout=PATIENCE
        )
        assert process.returncode == -9, step
        current = (folder / "current").read_text().strip()
        published = step == "after the pointer"
        assert (current == first["version"]) is not published
        newest = facts(project, "pulls")[0]
        assert newest["status"] == ("succeeded" if published else "failed"), step
        assert set(states(project).values()) == {"current"}
    (last,) = facts(project, "pull")
    assert last["status"] == "succeeded"
    assert not list(folder.glob(".pulling*"))
    assert {one.name for one in folder.iterdir() if one.is_dir()} <= {
        one["version"] for one in facts(project, "pulls") if one["status"] == "succeeded"
    }
    assert facts(project, "members", "quiet") == []


# Where a pull is killed: a function that it calls, and whether before or after that.
STEPS: dict[str, tuple[str, str]] = {
    "before the rows": ("warehouse.pull.copy_attributes", "before"),
    "after the rows": ("warehouse.pull.copy_attributes", "after"),
    "after the bits": ("warehouse.pull.answers_of", "after"),
    "after the arrays": ("warehouse.pull.write_arrays", "after"),
    "after the manifest": ("warehouse.pull.write_manifest", "after"),
    "before the renaming": ("warehouse.versions.Versions.publish", "before"),
    "before the pointer": ("warehouse.versions.Versions.point_to", "before"),
    "after the pointer": ("warehouse.versions.Versions.point_to", "after"),
}


def interrupted(step: str) -> Sequence[str]:
    """A command that runs `usher` and is killed at a step."""
    name, when = STEPS[step]
    kill = "os.kill(os.getpid(), 9)"
    code = f"""
import importlib, os, pkgutil, sys
path = {name!r}.split(".")
owner = importlib.import_module(".".join(path[:2]))
for part in path[2:-1]:
    owner = getattr(owner, part)
work = getattr(owner, path[-1])
def last(*arguments, **named):
    {kill if when == "before" else "work(*arguments, **named)"}
    {kill}
setattr(owner, path[-1], last)
from cli.main import main
sys.argv[0] = "usher"
main()
"""
    import sys

    return [sys.executable, "-c", code]
