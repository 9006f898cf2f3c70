"""Pulls by hand and by a running job; what the history and the freshness say of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from connectors.wall_clock import wall_clock
from project.columns import Remembered
from project.folder import LoadedProject, load_project
from schedules.freshness import freshness_of, state_of
from tests.cli.jobs import PATIENCE, ended, eventually, job, running
from tests.cli.projects import changed, write_project
from warehouse.history import Pull, Trigger
from warehouse.refresh import Request, history_of, refresh, roll_back
from warehouse.versions import Versions, default_store

PAGES = {"parent_model": "users", "where": {"did_not_perform": "page_viewed", "within": "2s"}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def facts(root: Path, *arguments: str) -> list[dict[str, Any]]:
    lines = ended(root, *arguments, "--format", "json").stdout.splitlines()
    return [json.loads(line) for line in lines]


def define(root: Path, **sections: Any) -> None:
    (root / "usher.yml").write_text(json.dumps(changed(**sections)))


def loaded_from(root: Path) -> LoadedProject:
    loaded = load_project(root, remembered=Remembered.WHERE_NEEDED).loaded
    assert loaded is not None
    return loaded


def states(root: Path) -> dict[str, str]:
    """What `usher freshness` says, without the process."""
    plan = loaded_from(root).project.plans["users"]
    found = freshness_of(root, plan, wall_clock())
    return {one.key: str(state_of(one.key, plan, found)) for one in plan.plan.audiences}


def newest(root: Path) -> Pull:
    """The first that `usher pulls` prints, without the process."""
    model = loaded_from(root).project.parent_models["users"]
    return history_of(root, model).pulls()[-1]


def pulled(root: Path) -> Pull:
    """What `usher pull` does, without the process."""
    loaded = loaded_from(root)
    plan, request = loaded.project.plans["users"], Request(Trigger.ON_DEMAND)
    return refresh(root, loaded.project.warehouse, plan, wall_clock(), request)


def test_pulls_by_hand(project: Path) -> None:
    assert set(states(project).values()) == {"pending"}
    (first,) = facts(project, "pull")
    assert (first["status"], first["trigger"], first["extent"]) == (
        "succeeded",
        "on_demand",
        "full",
    )
    assert (first["rows"], first["moved"], first["error"]) == (2, 2, None)
    assert states(project) == {"keen": "current", "quiet": "current"}
    (project / "users.csv").write_text("user_id,ltv\nu1,20\n")
    refused = ended(project, "pull", "users", code=3)
    assert refused.stderr == (
        "usher: parent model users: it has 1 rows, where there were 2: 50.0% fewer, and `pull: "
        "max_shrink` is 20%; if that is meant, run: usher pull users --allow-shrink\n"
    )
    (shrunk,) = facts(project, "pull", "users", "--allow-shrink")
    assert (shrunk["rows"], shrunk["moved"]) == (1, 1)
    (back,) = facts(project, "pull", "users", "--rollback")
    assert (back["extent"], back["version"], back["moved"]) == ("rollback", first["version"], 1)
    history = facts(project, "pulls", "users")
    assert [one["status"] for one in history] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert history[0] == back
    printed = ended(project, "pulls", "--limit", "3").stdout.splitlines()
    assert "failed after" in printed[2]
    (keen, quiet) = facts(project, "freshness")
    assert (keen["audience"], keen["state"], quiet["state"]) == ("keen", "current", "current")
    assert keen["snapshot"]["version"] == first["version"]
    assert keen["last_pull"] == {name: back[name] for name in back if name != "parent_model"}
    # The schedule does not undo it before the next pull is due.
    assert keen["next_pull"] > back["pull_date"]
    assert "  keen  current\n" in ended(project, "freshness").stdout


def test_verbs_that_are_asked_for_nonsense(project: Path) -> None:
    refused = ended(project, "pull", "nobody", code=2)
    assert refused.stderr == "usher: unknown parent model 'nobody'; the project has users\n"
    assert (
        "--rollback reads nothing" in ended(project, "pull", "--rollback", "--full", code=2).stderr
    )


def with_audiences(root: Path, **audiences: Any) -> None:
    define(
        root,
        audiences=audiences,
        syncs=None,
        destinations=None,
        parent_models={
            "users": {
                "from": {"csv": "users.csv"},
                "primary_key": "user_id",
                "properties": {"ltv": "number", "age": "number"},
            }
        },
    )


def test_definitions_that_need_a_pull_wait_for_it(project: Path) -> None:
    young = {"parent_model": "users", "where": {"property": "age", "exists": False}}
    old = {"parent_model": "users", "where": {"property": "age", "at_least": 5}}
    with running(project) as one:
        one.await_told(("u1", "entered", "quiet", "initial"))
        (project / "users.csv").rename(project / "away.csv")
        with_audiences(project, quiet=PAGES, young=young)
        eventually(lambda: "it is tried again in 5 s" in one.errors(), one)
        assert "the job goes on with those before until that is pulled" in one.errors()
        assert states(project) == {"young": "pending", "quiet": "current"}
        assert (newest(project).trigger, newest(project).status) == ("definition", "failed")
        (project / "users.csv").write_text("user_id,ltv,age\nu1,20,5\nu2,5,\n")
        one.await_told(("u2", "entered", "young", "definition_changed"))
        assert states(project) == {"young": "current", "quiet": "current"}
        assert (newest(project).extent, newest(project).status) == ("full", "succeeded")
        # What is new of columns that are known needs no warehouse.
        (project / "users.csv").unlink()
        with_audiences(project, quiet=PAGES, old=old)
        one.await_told(("u1", "entered", "old", "definition_changed"))
        assert newest(project).extent == "partial"
        assert one.stop() == 0


def aged(root: Path) -> None:
    """Make the snapshot in force a year older than it is."""
    folder = root / ".usher" / "snapshots" / "users"
    manifest = folder / (folder / "current").read_text().strip() / "manifest.json"
    old = json.loads(manifest.read_text())
    year = 365 * 86_400_000_000
    manifest.write_text(json.dumps({**old, "read_at": old["read_at"] - year}))


def test_a_job_starts_with_an_old_snapshot_and_recovers_by_itself(project: Path) -> None:
    # Without the warehouse, nobody but the snapshot knows which types the columns have.
    undeclared = {"from": {"csv": "users.csv"}, "primary_key": "user_id"}
    define(project, parent_models={"users": undeclared})
    pulled(project)
    aged(project)
    (project / "users.csv").rename(project / "away.csv")
    assert set(states(project).values()) == {"stale"}
    with running(project) as one:
        one.await_told(("u1", "entered", "quiet", "initial"))
        eventually(lambda: "users is stale: its rows are those of" in one.errors(), one)
        eventually(lambda: "what is in force stays, and it is tried again" in one.errors(), one)
        assert newest(project).status == "failed"
        assert set(states(project).values()) == {"stale"}
        (project / "away.csv").rename(project / "users.csv")
        eventually(lambda: "users: pulled 2 rows, 0 users moved" in one.errors(), one)
        eventually(lambda: "users is current again" in one.errors(), one)
        assert newest(project).trigger == "scheduled"
        assert one.stop() == 0


def test_pulls_on_schedule_may_be_the_work_of_a_process_of_their_own(project: Path) -> None:
    pulled(project)
    aged(project)
    (project / "users.csv").write_text("user_id,ltv\nu1,20\nu2,5\nu3,7\n")
    with running(project, "--only", "evaluate") as evaluating:
        evaluating.await_told(("u1", "entered", "quiet", "initial"))
        assert "pulls on schedule are the work of another process" in evaluating.errors()
        with running(project, "--only", "pull") as pulling:
            evaluating.await_told(("u3", "entered", "quiet", "warehouse_pull"))
            said = "users: pulled 3 rows, 1 users moved"
            eventually(lambda: said in pulling.errors(), pulling)
            assert pulling.lines() == []
            assert pulling.stop() == 0
        assert "users: pulled" not in evaluating.errors()
        assert newest(project).trigger == "scheduled"
        assert evaluating.stop() == 0


def test_a_job_that_finds_no_snapshot_waits_for_the_pull_under_way(project: Path) -> None:
    versions = Versions(default_store(project), "users")
    with ExitStack() as held:
        with versions.locked():
            one = held.enter_context(job(project, "--only", "evaluate"))
            said = "waiting for the pull of users that is under way"
            eventually(lambda: said in one.errors(), one)
        one.await_told(("u1", "entered", "quiet", "initial"))
        assert one.stop() == 0


def test_a_job_starts_although_a_column_has_gone_and_says_so(project: Path) -> None:
    pulled(project)
    aged(project)
    (project / "users.csv").write_text("user_id,lifetime\nu1,20\nu2,5\n")
    assert "unknown column 'ltv'" in ended(project, "validate", code=2).stdout
    assert "there is no column 'ltv'" in ended(project, "pull", code=3).stderr
    assert "there is no column 'ltv'" in (newest(project).error or "")
    with running(project) as one:
        one.await_told(("u1", "entered", "quiet", "initial"))
        eventually(lambda: "there is no column 'ltv'" in one.errors(), one)
        (project / "users.csv").write_text("user_id,ltv\nu1,20\nu2,5\n")
        eventually(lambda: "users is current again" in one.errors(), one)
        assert one.stop() == 0


def test_pulls_that_are_killed_leave_nothing_behind(project: Path) -> None:
    version = pulled(project).version
    folder = project / ".usher" / "snapshots" / "users"
    for step in STEPS:
        command = [*interrupted(step), "-C", str(project), "pull"]
        process = subprocess.run(command, check=False, timeout=PATIENCE)
        assert process.returncode == -9, step
        published = step == "after the pointer"
        assert ((folder / "current").read_text().strip() != version) is published, step
        assert newest(project).status == ("succeeded" if published else "failed"), step
        assert set(states(project).values()) == {"current"}
    last = pulled(project).version
    assert not list(folder.glob(".pulling*"))
    kept = sorted(one.name for one in folder.iterdir() if one.is_dir())
    assert [kept[0], kept[-1]] == [version, last]
    assert len(kept) == 3  # and the one that was in force when it was killed


def test_a_full_disk(project: Path) -> None:
    """As a limit on how far files may grow: those of a pull do, and its history does not."""
    version = pulled(project).version
    rows = "".join(f"user {'x' * 50} {number},{number}\n" for number in range(30_000))
    (project / "users.csv").write_text("user_id,ltv\n" + rows)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    code = f"import sys; {limit}; sys.argv[0] = 'usher'; from cli.main import main; main()"
    refused = subprocess.run(
        [sys.executable, "-c", code, "-C", str(project), "pull"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert refused.returncode == 3, refused.stderr
    assert "parent model users" in refused.stderr or "cannot be written" in refused.stderr
    folder = project / ".usher" / "snapshots" / "users"
    assert (folder / "current").read_text().strip() == version
    assert not list(folder.glob(".pulling*"))
    assert newest(project).status == "failed"
    assert (newest(project).error or "?") in refused.stderr
    assert pulled(project).rows == 30_000


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
    return [sys.executable, "-c", code]


def test_a_pull_and_the_return_from_it_take_force_in_a_running_job(project: Path) -> None:
    rich = {"parent_model": "users", "where": {"property": "ltv", "greater_than": 100}}
    grown = {"parent_model": "users", "where": {"property": "age", "at_least": 5}}
    young = {"parent_model": "users", "where": {"property": "age", "exists": False}}
    (project / "users.csv").write_text("user_id,ltv,age\nu1,20,5\nu2,5,\n")
    with_audiences(project, grown=grown, quiet=PAGES, rich=rich)
    with running(project) as one:
        one.await_told(("u1", "entered", "grown", "initial"))
        # One predicate more, and the others in another order: a partial pull.
        with_audiences(project, rich=rich, quiet=PAGES, young=young, grown=grown)
        one.await_told(("u2", "entered", "young", "definition_changed"))
        (project / "users.csv").write_text("user_id,ltv,age\nu1,20,\nu2,500,8\n")
        assert pulled(project).moved == 2
        one.await_told(
            ("u1", "exited", "grown", "warehouse_pull"),
            ("u1", "entered", "young", "warehouse_pull"),
            ("u2", "entered", "grown", "warehouse_pull"),
            ("u2", "entered", "rich", "warehouse_pull"),
            ("u2", "exited", "young", "warehouse_pull"),
        )
        roll_back(project, loaded_from(project).project.plans["users"], wall_clock())
        one.await_told(("u2", "exited", "rich", "warehouse_pull"))
        assert one.stop() == 0
