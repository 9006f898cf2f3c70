"""Workers that do not find each other, or cannot go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cli.crew import Crew
from dataflows.cluster import News, Part, cluster_folder, meeting_folder, prepare_cluster
from dataflows.ownership import sole_job
from dataflows.recovery import open_recovery
from dataflows.refusal import JobRefused
from project.folder import load_project
from tests.cli.projects import write_project
from tests.cluster.test_machines import addresses


def part_of(root: Path) -> Part:
    """The first of two, of which there is no second."""
    loaded = load_project(root, {}).loaded
    assert loaded is not None
    preparation = prepare_cluster(loaded)
    recovery = open_recovery(loaded)
    return Part(
        loaded=loaded,
        started=preparation.started,
        snapshots={key: one.folder for key, one in preparation.snapshots.items()},
        number=0,
        addresses=tuple(addresses().split(",")),
        stored=recovery.shares,
        clock=recovery.clock,
        meetings=meeting_folder(root, "test"),
    )


def test_workers_that_do_not_find_each_other_are_not_waited_for(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    part = part_of(root)
    with sole_job(root) as lock:
        crew = Crew([part], cluster_folder(root), lock, unheard, meeting=3.0)
        what = crew.run(lambda: False)
    assert what == "the workers have not found each other within 3 s"
    with sole_job(root):  # it is gone
        pass


def test_a_worker_that_is_told_to_stop_before_it_has_met_the_others_does(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    part = part_of(root)
    with sole_job(root) as lock:
        assert Crew([part], cluster_folder(root), lock, unheard).run(lambda: True) == ""


def test_a_worker_that_cannot_go_on_says_why(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    part = replace(part_of(root), snapshots={"users": root / "nowhere"})
    with sole_job(root) as lock, pytest.raises(JobRefused, match="pull it anew"):
        Crew([part], cluster_folder(root), lock, unheard).run(lambda: False)


def unheard(_news: News) -> None:
    pass
