"""`usher members`, `usher user`, `usher transitions`: what the store has recorded."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import usher
from membership.retention import Retention
from membership.store import MembershipStore
from project.folder import LoadedProject, load_project
from project.stores import open_store, retention_of
from tests.cli.jobs import USHER, eventually
from tests.cli.projects import changed, write_project
from tests.membership.stories import NOW, proposals
from tests.membership.test_reader import group_of

U1, U2 = group_of("u1"), group_of("u2")


def loaded(root: Path) -> LoadedProject:
    project = load_project(root).loaded
    assert project is not None
    return project


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(usher, [str(argument) for argument in arguments])


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


@pytest.fixture
def store(project: Path) -> Iterator[MembershipStore]:
    store = open_store(loaded(project))
    store.claim([("users", U1), ("users", U2)])
    store.record(
        [proposals("u1+1 u1-2 u1+3", group=U1), proposals("u2+4", audience="quiet", group=U2)], NOW
    )
    store.record([proposals("u2+5", group=U2)], NOW)
    yield store
    store.close()


def test_members(project: Path, store: MembershipStore) -> None:
    assert lines(invoke("-C", project, "members", "keen")) == [
        "1970-01-01T00:00:03.000000Z  u1  #3  event m3",
        "1970-01-01T00:00:05.000000Z  u2  #1  event m5",
    ]
    assert len(lines(invoke("-C", project, "members", "keen", "--limit", 1))) == 1


def test_members_as_json(project: Path, store: MembershipStore) -> None:
    first, _ = lines(invoke("-C", project, "members", "keen", "--format", "json"))
    assert list(json.loads(first).items()) == [
        ("parent_model", "users"),
        ("user_id", "u1"),
        ("audience", "keen"),
        ("since", "1970-01-01T00:00:03.000000Z"),
        ("sequence", 3),
        ("cause", {"kind": "event", "message_id": "m3"}),
    ]


def test_many_members_are_printed_page_by_page(project: Path, store: MembershipStore) -> None:
    story = " ".join(f"v{number}+9" for number in range(2_500))
    store.record([proposals(story, group=U1)], NOW)
    assert len(lines(invoke("-C", project, "members", "keen"))) == 2_502
    assert len(lines(invoke("-C", project, "members", "keen", "--limit", 1_500))) == 1_500


def test_an_unknown_audience(project: Path, store: MembershipStore) -> None:
    result = invoke("-C", project, "members", "keeen")
    assert result.exit_code == 2
    assert "unknown audience 'keeen'; the project has keen, quiet" in result.stderr


def test_a_user(project: Path, store: MembershipStore) -> None:
    assert lines(invoke("-C", project, "user", "u2")) == [
        "1970-01-01T00:00:05.000000Z  keen  #1  event m5",
        "1970-01-01T00:00:04.000000Z  quiet  #1  event m4",
    ]
    found = lines(invoke("-C", project, "user", "u2", "--format", "json"))
    assert [json.loads(line)["audience"] for line in found] == ["keen", "quiet"]
    assert len(lines(invoke("-C", project, "user", "u2", "--parent-model", "users"))) == 2
    assert lines(invoke("-C", project, "user", "nobody")) == []


def test_an_unknown_parent_model(project: Path, store: MembershipStore) -> None:
    result = invoke("-C", project, "user", "u2", "--parent-model", "cars")
    assert result.exit_code == 2
    assert "unknown parent model 'cars'; the project has users" in result.stderr


def test_transitions(project: Path, store: MembershipStore) -> None:
    assert lines(invoke("-C", project, "transitions")) == [
        "1970-01-01T00:00:01.000000Z  entered  keen  u1  event m1",
        "1970-01-01T00:00:02.000000Z  exited   keen  u1  event m2",
        "1970-01-01T00:00:03.000000Z  entered  keen  u1  event m3",
        "1970-01-01T00:00:04.000000Z  entered  quiet  u2  event m4",
        "1970-01-01T00:00:05.000000Z  entered  keen  u2  event m5",
    ]
    of_keen = lines(invoke("-C", project, "transitions", "--audience", "keen"))
    assert len(of_keen) == 4
    of_both = lines(invoke("-C", project, "transitions", "--audience", "keen", "--user", "u2"))
    assert of_both == of_keen[-1:]
    assert lines(invoke("-C", project, "transitions", "--last", 1)) == of_both
    assert lines(invoke("-C", project, "transitions", "--last", 0)) == []


def test_transitions_as_json_are_transition_records(project: Path, store: MembershipStore) -> None:
    *_, last = lines(invoke("-C", project, "transitions", "--format", "json"))
    record = json.loads(last)
    assert list(record) == [
        "id", "type", "audience", "audience_version", "parent_model", "user_id", "effective_at",
        "sequence", "cause", "emitted_at",
    ]  # fmt: skip
    assert (record["type"], record["user_id"], record["sequence"]) == ("entered", "u2", 1)


def test_a_terminal_is_safe_from_those_who_send_events(
    project: Path, store: MembershipStore
) -> None:
    user = "\x1b[2J"
    store.record([replace(proposals("x+9", group=group_of(user)), user_ids=[user])], NOW)
    for verb in (["members", "keen"], ["transitions"]):
        found = invoke("-C", project, *verb).stdout
        assert "\x1b" not in found
        assert "\\x1b[2J" in found
    assert len(lines(invoke("-C", project, "user", user))) == 1


def test_following(project: Path, store: MembershipStore) -> None:
    command = [USHER, "-C", str(project), "transitions", "--follow", "--last", "2", "--user", "u2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        try:
            first = [following.stdout.readline() for _ in range(2)]
            assert [line.split()[2] for line in first] == ["quiet", "keen"]
            store.record([proposals("u1-6@4", group=U1), proposals("u2-7@2", group=U2)], NOW)
            assert "exited   keen  u2  event m7" in following.stdout.readline()
            # It comes also when a server has closed its connection.
            following.send_signal(signal.SIGPIPE)
            store.record([proposals("u2+8@3", group=U2)], NOW)
            assert "entered  keen  u2  event m8" in following.stdout.readline()
        finally:
            following.send_signal(signal.SIGINT)
        assert following.wait() == 130


def test_a_reader_may_go_before_the_follower(project: Path, store: MembershipStore) -> None:
    command = f"set -o pipefail; {USHER} -C {project} transitions --follow | head -n 1"
    with subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert b"u1" in following.stdout.readline()

        def over() -> bool:
            store.record([proposals(f"x{store_end(project)}+9", group=U1)], NOW)
            return following.poll() is not None

        eventually(over)
        assert following.returncode == 128 + signal.SIGPIPE


def store_end(project: Path) -> int:
    return len(lines(invoke("-C", project, "transitions")))


@pytest.mark.parametrize("verb", [("members", "keen"), ("user", "u1"), ("transitions",)])
def test_before_anything_was_recorded(project: Path, verb: tuple[str, ...]) -> None:
    result = invoke("-C", project, *verb)
    assert result.exit_code == 3
    assert "state.db: nothing has been recorded yet; start usher run first" in result.stderr
    assert not (project / ".usher").exists()


@pytest.mark.parametrize("verb", [("members", "keen"), ("user", "u1"), ("transitions",)])
def test_a_damaged_store(project: Path, store: MembershipStore, verb: tuple[str, ...]) -> None:
    store.close()
    path = project / ".usher" / "state.db"
    path.write_bytes(b"x" * path.stat().st_size)
    result = invoke("-C", project, *verb)
    assert result.exit_code == 3
    assert "the store is damaged (file is not a database); restore it" in result.stderr


def test_the_store_is_where_the_project_says(tmp_path: Path) -> None:
    settings = {"type": "sqlite", "path": "data/members.db", "keep_for": "30d", "keep_rows": 1000}
    project = write_project(tmp_path / "project", changed(store=settings))
    open_store(loaded(project)).close()
    assert (project / "data" / "members.db").exists()
    assert retention_of(loaded(project)) == Retention(30 * 86_400_000_000, 1_000)
    assert lines(invoke("-C", project, "transitions")) == []


def test_a_server_that_cannot_be_reached(tmp_path: Path) -> None:
    settings = {"type": "postgres", "url": "postgresql://me:geheim@127.0.0.1:1/usher"}
    project = write_project(tmp_path / "project", changed(store=settings))
    for verb in (["transitions"], ["validate", "--connect"]):
        result = invoke("-C", project, *verb)
        assert result.exit_code == 3
        assert "store in PostgreSQL, schema usher: connection failed" in result.output
        assert "geheim" not in result.output


def test_the_settings_of_a_store_are_checked(tmp_path: Path) -> None:
    settings = {"type": "postgres", "keep_for": "long", "schema": "a b"}
    project = write_project(tmp_path / "project", changed(store=settings))
    result = invoke("-C", project, "validate")
    assert result.exit_code == 2
    for told in ("'url'", "'long'", "at most 63 letters"):
        assert told in result.output
