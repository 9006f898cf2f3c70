"""The journal and the state are made to agree, by transitions that say so."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.jobs import finished, job, now, running
from tests.cli.projects import page, write_project
from tests.cli.test_run import POPULATED, append


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    write_project(root)
    with running(root) as one:
        append(root, page("u1", 1, now()))
        one.await_told(("u1", "exited", "quiet", "event"), POPULATED[1])
        assert one.stop() == 0
    return root


def reconciled(root: Path) -> tuple[str, str]:
    """What `usher reconcile` prints, and what it says."""
    with job(root, words=["reconcile"]) as one:
        one.stdin.close()
        assert one.process.wait(120) == 0, one.errors()
        return "\n".join(one.lines()), one.errors().splitlines()[-1]


def test_after_a_clean_stop_nothing_differs(project: Path) -> None:
    assert reconciled(project)[1] == "usher: 0 differences"


@pytest.mark.parametrize(
    ("damage", "corrected"),
    [
        ("DELETE FROM heads WHERE user_id = 'u2'", "entered  quiet  u2  reconciled"),
        ("UPDATE heads SET sequence = 2 WHERE user_id = 'u2'", "entered  quiet  u2  reconciled"),
        (
            (
                "INSERT INTO heads SELECT key_group, 'ghost', audience, 1, effective_at, 1, 0, 'm' "
                "FROM heads WHERE user_id = 'u2'"
            ),
            "exited   quiet  ghost  reconciled",
        ),
    ],
)
def test_what_the_journal_has_wrong_is_corrected_once(
    project: Path, damage: str, corrected: str
) -> None:
    with closing(sqlite3.connect(project / ".usher" / "state.db")) as store, store:
        store.execute(damage)
    printed, said = reconciled(project)
    assert said == "usher: 1 difference"
    assert corrected in printed
    assert reconciled(project)[1] == "usher: 0 differences"


def test_beside_a_running_job_it_is_refused(project: Path) -> None:
    with running(project):
        code, said = finished(project)
        assert code == 3
        assert "another job runs on this project" in said
