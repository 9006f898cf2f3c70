"""Definitions that change under a job: over a restart, and while it runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from project.folder import load_project
from tests.cli.jobs import Job, eventually, now, running, told
from tests.cli.projects import DEFINITION, changed, page, write_project

SHOP: dict[str, Any] = DEFINITION["audiences"]
INITIAL = (("u1", "entered", "quiet", "initial"), ("u2", "entered", "quiet", "initial"))
# Views that are remembered throughout a test, and audiences over them.
LONG: dict[str, Any] = {
    "viewers": {
        "parent_model": "users",
        "where": {"performed": "page_viewed", "at_least": 2, "within": "1h"},
    },
    "once": {"parent_model": "users", "where": {"performed": "page_viewed", "within": "1h"}},
}
KNOWN = {"parent_model": "users", "where": {"property": "ltv", "exists": True}}
DELETED: dict[str, Any] = {"silent": {**LONG["once"], "on_delete": "silent"}}
BEFORE = {**LONG, **DELETED, "going": LONG["once"]}
AFTER = {
    "viewers": LONG["viewers"],  # stays as it is
    "once": {**LONG["once"], "where": {"not": LONG["once"]["where"]}},  # means the opposite
    "known": KNOWN,  # new, over a column that nothing asked for
    "rare": {  # new, over events that are remembered already
        "parent_model": "users",
        "where": {"performed": "page_viewed", "at_most": 1, "within": "1h"},
    },
}
DIFFERENCE = {
    ("u1", "exited", "once", "definition_changed"),
    ("u1", "exited", "going", "definition_changed"),
    ("u2", "entered", "once", "definition_changed"),
    ("u2", "entered", "rare", "definition_changed"),
    ("u1", "entered", "known", "definition_changed"),
    ("u2", "entered", "known", "definition_changed"),
}


def define(project: Path, audiences: dict[str, Any], **sections: Any) -> None:
    write_project(project, changed(audiences=audiences, syncs=None, **sections))


def append(project: Path, *lines: str) -> None:
    with (project / "live" / "a.jsonl").open("a") as file:
        file.write("".join(lines))


def test_definitions_are_looked_at_again_once_they_can_be(project: Path) -> None:
    with running(project) as one:
        (project / ".usher" / "backfill").mkdir()  # it is no file
        said = "usher: definitions cannot be looked at: "
        eventually(lambda: said in one.errors(), one)
        define(project, {"known": KNOWN})
        (project / ".usher" / "backfill").rmdir()
        one.await_told(("u1", "entered", "known", "definition_changed"))
        assert one.stop() == 0
        assert one.errors().count(said) == 1


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    define(root, BEFORE)
    return root


Reload = Callable[[Job], None]


def by_signal(job: Job) -> None:
    job.process.send_signal(signal.SIGHUP)


def by_itself(_job: Job) -> None:
    """The job looks at its definitions every second."""


@contextmanager
def with_views(project: Path) -> Iterator[Job]:
    """A job under the first definitions, in which u1 is in all audiences."""
    with running(project) as one:
        append(project, page("u1", 1, now()), page("u1", 2, now()))
        one.await_told(*(("u1", "entered", key, "event") for key in BEFORE))
        assert len(one.told()) == len(BEFORE)
        yield one


def test_a_restart_tells_the_difference_and_only_it(project: Path) -> None:
    with with_views(project) as one:
        assert one.stop() == 0
    append(project, page("u2", 3, now()), page("u1", 4, now()))
    define(project, AFTER)
    with running(project) as two:
        # u2's view came before the definitions took force, but nobody in "viewers" minds.
        wanted = DIFFERENCE - {("u2", "entered", "once", "definition_changed")}
        two.await_told(*wanted)
        append(project, page("u2", 5, now()))
        two.await_told(("u2", "entered", "viewers", "event"), ("u2", "exited", "rare", "event"))
        assert two.stop() == 0
        assert set(two.told()) - wanted == {
            ("u2", "entered", "viewers", "event"),
            ("u2", "exited", "rare", "event"),
        }
        instants = {one["effective_at"] for one in two.transitions() if told(one) in wanted}
        assert len(instants) == 1
    with running(project) as three:  # once is enough, also for the audience that has gone
        append(project, page("u1", 6, now()), page("u2", 7, now()), page("u3", 8, now()))
        append(project, page("u3", 9, now()))
        three.await_told(("u3", "entered", "viewers", "event"))
        assert three.stop() == 0
        assert {one[0] for one in three.told()} == {"u3"}


@pytest.mark.parametrize("reload", [by_signal, by_itself])
def test_a_running_job_takes_changed_definitions(project: Path, reload: Reload) -> None:
    with with_views(project) as one:
        define(project, AFTER)
        reload(one)
        one.await_told(*DIFFERENCE)
        append(project, page("u2", 3, now()), page("u2", 4, now()))
        one.await_told(("u2", "entered", "viewers", "event"))
        assert one.stop() == 0
        assert set(one.told()[len(BEFORE) :]) == DIFFERENCE | {
            ("u2", "exited", "once", "event"),
            ("u2", "exited", "rare", "event"),
            ("u2", "entered", "viewers", "event"),
        }
        assert one.errors().splitlines()[-1] == (
            "usher: stopped; 4 events read, 0 ignored, 0 invalid"
        )


def test_what_cannot_be_used_leaves_the_definitions_before_in_force(project: Path) -> None:
    with with_views(project) as one:
        define(project, {**BEFORE, "new": {**KNOWN, "where": {"performed": "page_viewd"}}})
        by_signal(one)
        eventually(lambda: "mistakes; the job goes on with those before" in one.errors(), one)
        assert "unknown event 'page_viewd'" in one.errors()
        kafka = {"type": "kafka", "topic": "t", "bootstrap_servers": "b:1", "format": "segment"}
        define(project, {**BEFORE, "new": KNOWN}, sources={"web": kafka})
        by_signal(one)
        eventually(lambda: "goes on with the definitions before" in one.errors(), one)
        append(project, page("u2", 3, now()), page("u2", 4, now()))
        one.await_told(("u2", "entered", "viewers", "event"))
        assert not [told for told in one.told() if told[2] == "new"]
        assert "warming" not in one.errors()
        within_2h = {"performed": "page_viewed", "within": "2h"}
        define(project, {**BEFORE, "new": {**KNOWN, "where": within_2h}})
        by_signal(one)
        one.await_told(("u1", "entered", "new", "definition_changed"))
        (line,) = [line for line in one.errors().splitlines() if "warming" in line]
        assert line.startswith("usher: warming, exact from 20")
        assert line.endswith("Z on: performed page_viewed at least once within 2h")
        assert one.stop() == 0


def test_members_of_an_audience_that_was_removed_exit_when_all_is_counted_anew(
    project: Path,
) -> None:
    with with_views(project) as one:
        assert one.stop() == 0
    define(project, {"viewers": LONG["viewers"]})
    removed = {("u1", "exited", key, "reconciled") for key in ("once", "going")}  # not the silent
    with running(project, "--rebuild") as two:
        two.await_told(*removed)
        assert two.stop() == 0
        assert set(two.told()) == removed


def test_words_that_change_nothing_interrupt_nobody(project: Path) -> None:
    with with_views(project) as one:
        path = project / "usher.yml"
        path.write_text("# a remark\n" + path.read_text())
        by_signal(one)
        eventually(lambda: "usher: the definitions have not changed" in one.errors(), one)
        assert one.stop() == 0
        assert one.errors().count("usher: running") == 1
        assert len(one.told()) == len(BEFORE)


def test_definitions_that_are_read_again_are_the_same(project: Path) -> None:
    define(
        project, BEFORE, serving={"limits": {"streams": 10}, "allow_origins": ["https://a.example"]}
    )
    once, again = load_project(project).loaded, load_project(project).loaded
    assert once is not None
    assert again is not None
    assert once.project == again.project


def test_standard_input_goes_on_in_the_middle_of_a_line(project: Path) -> None:
    sources = {"web": {"type": "file", "format": "segment", "path": "-"}}
    define(project, LONG, sources=sources)
    with running(project) as one:
        first, second = page("u1", 1, now()).encode(), page("u1", 2, now()).encode()
        one.stdin.write(first + second[:50])
        one.stdin.flush()
        one.await_told(("u1", "entered", "once", "event"))
        define(project, {**LONG, "known": KNOWN}, sources=sources)
        one.await_told(("u1", "entered", "known", "definition_changed"))
        one.stdin.write(second[50:])
        one.stdin.flush()
        one.await_told(("u1", "entered", "viewers", "event"))
        assert one.stop() == 0
