"""A job of several processes that is asked for a backfill."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.jobs import eventually, now, running
from tests.cli.projects import page
from tests.cli.test_backfill import AFTER, TRUTH, backfilled, members, project
from tests.cli.test_changes import append, by_signal, define

__all__ = ["project"]


@pytest.mark.slow
def test_the_workers_stand_still_for_it_and_go_on(project: Path) -> None:
    with running(project, "--workers", "2") as one:
        eventually((project / ".usher" / "state" / "in-use").exists, one)
        define(project, AFTER)
        by_signal(one)
        one.await_told(("u1", "entered", "absent", "definition_changed"))
        said = backfilled(project)
        assert "usher: exact now: performed page_viewed at least 2 times within 1h" in said
        assert members(project) == TRUTH
        append(project, page("u2", 8, now()), page("u2", 9, now()))
        one.await_told(("u2", "entered", "viewers", "event"), ("u2", "exited", "absent", "event"))
        assert one.stop() == 0
        assert "warming" not in one.errors().rpartition("exact now")[2]
    assert members(project, "viewers") == {("viewers", f"u{number}") for number in (1, 2, 3)}
