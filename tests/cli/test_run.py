"""`usher run`: real processes, real signals, files that grow."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.jobs import PATIENCE, USHER, eventually, finished, job, now, running, told
from tests.cli.projects import DEFINITION, changed, page, write_project

POPULATED = (("u1", "entered", "quiet", "initial"), ("u2", "entered", "quiet", "initial"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def append(project: Path, *lines: str, to: str = "a.jsonl") -> None:
    with (project / "live" / to).open("a") as file:
        file.write("".join(lines))


def archived(project: Path) -> list[dict[str, Any]]:
    """The whole lines; there may be a torn one until the next is appended."""
    path = project / "out" / "transitions.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def assert_sound(transitions: Iterable[dict[str, Any]]) -> None:
    """Nothing is contradicted, lost or told twice: sequences count up, types alternate."""
    last: dict[tuple[str, str], tuple[int, str]] = {}
    for one in transitions:
        key = one["user_id"], one["audience"]
        sequence, instant = last.get(key, (0, ""))
        assert one["sequence"] == sequence + 1, one
        assert one["type"] == ("entered" if one["sequence"] % 2 else "exited")
        assert one["effective_at"] >= instant
        last[key] = one["sequence"], one["effective_at"]


def test_entries_and_exits_happen_as_files_grow_and_as_nothing_arrives(project: Path) -> None:
    with running(project) as one:
        one.await_told(*POPULATED)
        append(project, page("u1", 1, now()), page("u2", 2, now()))
        one.await_told(("u1", "exited", "quiet", "event"), ("u2", "exited", "quiet", "event"))
        append(project, page("u1", 3, now()), page("u1", 4, now()), to="b.jsonl")  # a new file
        append(project, "{broken\n", page("", 5, now()))
        # Without anything more to read.
        one.await_told(
            ("u1", "entered", "keen", "event"),
            ("u1", "exited", "keen", "window_expired"),
            ("u1", "entered", "quiet", "window_expired"),
            ("u2", "entered", "quiet", "window_expired"),
        )
        assert one.stop() == 0
        assert one.errors().splitlines()[-1] == (
            "usher: stopped; 6 events read, 0 ignored, 2 invalid"
        )
        transitions = one.transitions()
    assert_sound(transitions)
    # The file has what the sync asks for, as it was printed.
    assert archived(project) == [one for one in transitions if one["audience"] == "keen"]
    (entered, left) = archived(project)
    assert entered["cause"]["kind"] == "event"
    assert entered["cause"]["message_id"] in {"m3", "m4"}  # as long as m1 counts, or not any more
    assert list(entered)[-1] == "emitted_at"
    assert left["emitted_at"] >= left["effective_at"]
    letters = (project / ".usher" / "dead-letters.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in letters] == [3, 4]
    assert json.loads(letters[0])["file"] == str(project / "live" / "a.jsonl")
    assert json.loads(letters[0])["excerpt"] == "{broken"
    assert (project / ".usher").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("workers", [("1", "1"), ("2", "1")])
def test_a_restart_goes_on_where_the_job_was_stopped(
    project: Path, workers: tuple[str, str]
) -> None:
    with running(project, "--workers", workers[0]) as one:
        one.await_told(*POPULATED)
        append(project, page("u1", 1, now()), page("u1", 2, now()))
        one.await_told(("u1", "entered", "keen", "event"))
        append(project, page("u2", 3, now()), '{"type":"page","userId":"u2","messa')
        one.await_told(("u2", "exited", "quiet", "event"))
        assert one.stop() == 0
        before = one.transitions()
    with (project / "live" / "a.jsonl").open("a") as file:  # while nobody looks
        file.write(f'geId":"m4","timestamp":"{now()}","receivedAt":"{now()}"}}\n')
    append(project, page("u1", 2, now()), page("u3", 5, now()), to="b.jsonl")
    with running(project, "--workers", workers[1]) as two:
        two.await_told(("u3", "entered", "quiet", "window_expired"))
        assert two.stop(signal.SIGINT) == 0
        after = two.transitions()
    # Who was in leaves; who is new is noticed; nobody enters for a second time.
    assert_sound(before + after)
    assert ("u1", "exited", "keen", "window_expired") in map(told, before + after)
    assert not {told(one) for one in after} & set(POPULATED)
    assert archived(project) == [one for one in before + after if one["audience"] == "keen"]


def test_a_job_that_is_killed_starts_anew_from_what_it_had_stored(project: Path) -> None:
    with running(project) as one:
        one.await_told(*POPULATED)
        assert one.stop() == 0
    with running(project) as two:
        append(project, page("u1", 1, now()), page("u1", 2, now()))
        two.await_told(("u1", "entered", "keen", "event"))
        two.process.kill()
        two.process.wait()
    (project / "out").mkdir(exist_ok=True)  # it may not have come to deliver
    with (project / "out" / "transitions.jsonl").open("a") as file:
        file.write('{"id":"torn')
    with running(project) as three:
        eventually(lambda: "exited" in {one["type"] for one in archived(project)}, three)
        assert three.stop() == 0
    # What was not stored is told again as it was told; nothing is missing, no line is torn.
    assert "torn" not in (project / "out" / "transitions.jsonl").read_text()
    once = {one["id"]: one for one in archived(project)}
    assert [(one["type"], one["sequence"]) for one in once.values()] == [
        ("entered", 1),
        ("exited", 2),
    ]


def test_standard_input(project: Path) -> None:
    sources = {"web": {"type": "file", "format": "segment", "path": "-"}}
    write_project(project, changed(sources=sources))
    with running(project) as one:
        one.await_told(*POPULATED)
        one.stdin.write((page("u1", 1, now()) + page("u1", 2, now())).encode())
        one.stdin.flush()
        one.await_told(("u1", "entered", "keen", "event"))
        one.stdin.write(page("u2", 3, now()).encode().rstrip())
        one.stdin.close()  # the last line has no newline, and time goes on
        one.await_told(
            ("u2", "exited", "quiet", "event"),
            ("u2", "entered", "quiet", "window_expired"),
        )
        assert one.stop() == 0
        assert_sound(one.transitions())


def test_a_second_job_on_the_same_project_is_refused(project: Path) -> None:
    with running(project) as one:
        code, said = finished(project)
        assert code == 3
        assert said == (
            f"usher: another job runs on this project (it holds {project}/.usher/lock)\n"
        )
        assert one.stop() == 0


def test_what_the_journal_knows_is_not_told_again_when_counting_anew(project: Path) -> None:
    with running(project) as one:
        append(project, page("u1", 1, now()))
        one.await_told(("u1", "exited", "quiet", "event"), POPULATED[1])
        assert one.stop() == 0
    shop = DEFINITION["audiences"]
    write_project(project, changed(audiences={**shop, "more": shop["quiet"]}))
    with running(project, "--rebuild") as two:
        two.await_told(("u2", "entered", "more", "initial"))
        assert two.stop() == 0
        assert POPULATED[1] not in two.told()


def test_the_journal_is_pruned_as_the_project_says(project: Path) -> None:
    syncs = {**DEFINITION["syncs"], "gone": {"audience": "quiet", "destination": "archive"}}
    write_project(project, changed(syncs=syncs))
    with running(project) as one:
        append(project, page("u1", 1, now()), page("u1", 2, now()), page("u2", 3, now()))
        one.await_told(
            ("u1", "exited", "keen", "window_expired"),
            ("u2", "entered", "quiet", "window_expired"),
        )
        assert one.stop() == 0
        assert "journal" not in one.errors()
        before = len(one.lines())
    write_project(project, changed(store={"type": "sqlite", "keep_rows": 1}))
    with running(project) as two:
        eventually(lambda: "removed from the journal" in two.errors(), two)
        assert two.stop() == 0
        said = two.errors()
    assert f"usher: {before - 1} old transitions were removed from the journal\n" in said
    assert "sync 'gone' is not defined any more; its place in the journal is forgotten\n" in said
    with job(project, words=["transitions"]) as three:
        assert three.process.wait(PATIENCE) == 0
        assert len(three.lines()) == 1


def refused(project: Path, **sections: Any) -> str:
    write_project(project, changed(**sections))
    code, said = finished(project)
    assert code == 3
    assert said.startswith("usher: ")
    assert said.count("\n") == 1
    assert not list((project / "out").glob("*"))
    return said


def test_standard_input_is_one_source(project: Path) -> None:
    pipe = {"type": "file", "path": "-"}
    assert "reads standard input, as another source does already" in refused(
        project, sources={"web": pipe, "app": pipe}, syncs=None
    )


def test_a_destination_that_cannot_be_written_pauses_its_sync_alone(project: Path) -> None:
    path = project / "out" / "transitions.jsonl"
    path.mkdir(parents=True)
    with running(project) as one:
        append(project, page("u1", 1, now()), page("u1", 2, now()))
        eventually(lambda: "sync 'all' pauses, because" in one.errors(), one)
        assert one.stop() == 0
        assert "not delivered yet" in one.errors()
    path.rmdir()
    with running(project) as two:
        eventually(lambda: len(archived(project)) == 2, two)
        assert two.stop() == 0


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with stored state."""
    project = write_project(tmp_path_factory.mktemp("stored") / "project")
    with running(project) as one:
        one.await_told(*POPULATED)
        assert one.stop() == 0
    return project


STORE = Path(".usher", "recovery", "part-0.sqlite3")
AUDIENCES = Path(".usher", "recovery", "audiences")


def state_files(root: Path) -> list[Path]:
    return sorted((root / ".usher" / "state").glob("*.log"))


def flip_state(root: Path) -> None:
    """A single bit of a user's state."""
    content = bytearray(state_files(root)[7].read_bytes())
    content[-1] ^= 1
    state_files(root)[7].write_bytes(content)


def flip_row(root: Path) -> None:
    """A letter in what Bytewax has stored; the database itself stays sound."""
    content = (root / STORE).read_bytes()
    (root / STORE).write_bytes(content.replace(b"users.07.", b"users.06."))


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda root: (root / STORE).unlink(), "part-0.sqlite3 is missing"),
        (lambda root: (root / STORE).write_bytes(b""), "no such table"),
        (lambda root: (root / STORE).write_bytes(b"hello" * 999), "file is not a database"),
        (lambda root: os.truncate(root / STORE, 8192), "malformed"),
        (lambda root: (root / AUDIENCES).unlink(), "No such file"),
        (lambda root: (root / AUDIENCES).write_bytes(b"{"), "checksum"),
        (flip_row, "a stored record does not match its checksum"),
        (flip_state, "does not match its checksum"),
        (lambda root: state_files(root)[3].unlink(), "is missing"),
        (lambda root: os.truncate(state_files(root)[0], 99), "has 99 bytes instead of"),
        (lambda root: state_files(root)[0].rename(state_files(root)[1]), "users.00."),
    ],
)
def test_damaged_state_is_a_sentence(stored: Path, tmp_path: Path, break_it: Any, why: str) -> None:
    project = tmp_path / "project"
    shutil.copytree(stored, project)
    break_it(project)
    code, said = finished(project)
    assert code == 3, said
    last = said.splitlines()[-1]
    assert last.startswith(f"usher: the stored state in {project}/.usher/")
    assert " is damaged (" in last
    assert why in last
    assert "start with --rebuild" in last
    assert "Traceback" not in said
    assert "panicked" not in said


def test_a_damaged_snapshot_is_pulled_anew(stored: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(stored, project)
    for file in (project / ".usher" / "snapshots").rglob("manifest.json"):
        file.write_text("{")
    with running(project) as one:
        append(project, page("u1", 1, now()), page("u1", 2, now()))
        one.await_told(("u1", "entered", "keen", "event"))
        assert one.stop() == 0


def test_text_is_one_line_a_transition_that_no_user_id_can_break(project: Path) -> None:
    with running(project, words=["run"]) as one:
        append(project, page("u9\n\x1b[2Jß", 1, now()))
        eventually(lambda: len(one.lines()) == 3, one)
        assert one.stop() == 0
        lines = [line.split("  ") for line in one.lines()]
    assert [line[1:3] for line in lines] == [["entered", "quiet"]] * 3
    assert lines[2][3] == "u9\\n\\x1b[2Jß"
    assert lines[2][4].startswith("window_expired did not perform")


def test_who_reads_the_output_may_leave(project: Path) -> None:
    command = f"{USHER} -C {project} run | head -n 1"
    with subprocess.Popen(
        ["bash", "-c", f"set -o pipefail; {command}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"entered" in process.stdout.readline()
        append(project, page("u1", 1, now()), page("u1", 2, now()))
        archive = project / "out" / "transitions.jsonl"
        eventually(lambda: archive.exists() and archive.read_text().count("\n") == 2)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)
        assert b"Traceback" not in process.stderr.read()
    assert [one["type"] for one in archived(project)] == ["entered", "exited"]


def test_bytewaxs_own_runner_works_as_well(project: Path) -> None:
    command = [
        *(sys.executable, "-m", "bytewax.run"),
        f"dataflows.realtime:flow_of({str(project)!r})",
    ]
    with job(project, command=command) as one:
        eventually(lambda: len(one.lines()) == 2, one)
        append(project, page("u1", 1, now()), page("u1", 2, now()))
        eventually(lambda: any("keen" in line for line in one.lines()), one)
        code, said = finished(project)  # it owns the project, too
        assert code == 3
        assert "another job runs on this project" in said
        assert one.stop() == 0
        assert "Traceback" not in one.errors()
    assert archived(project)[0]["type"] == "entered"


def test_deliveries_may_be_the_work_of_a_process_of_their_own(project: Path) -> None:
    with (
        running(project, "--only", "evaluate") as evaluating,
        job(project, "--only", "deliver") as delivering,
    ):
        eventually(lambda: "usher: running" in delivering.errors(), delivering)
        append(project, page("u1", 1, now()), page("u1", 2, now()))
        eventually(lambda: len(archived(project)) == 2, delivering)
        assert delivering.stop() == 0
        assert delivering.lines() == []
        assert evaluating.stop() == 0
        assert ("u1", "entered", "keen", "event") in evaluating.told()


def test_of_two_that_deliver_the_later_one_does(project: Path) -> None:
    with running(project, "--only", "evaluate,deliver") as one:
        one.await_told(*POPULATED)
        with job(project, "--only", "deliver") as two:
            append(project, page("u1", 1, now()), page("u1", 2, now()))
            eventually(lambda: "another process delivers now" in one.errors(), two)
            assert two.stop() == 0


def test_a_part_that_there_is_not_is_a_mistake(project: Path) -> None:
    code, said = finished(project, "--only", "deliver,cook")
    assert code == 2
    assert "'cook' is not a part of the job; it has evaluate, deliver, serve and pull" in said
