"""Keys as they are made, listed and revoked on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import usher as command
from tests.cli.projects import write_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def usher(root: Path, *arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(command, ["-C", str(root), *arguments])
    assert done.exit_code == code, done.output
    return done


def test_parts_that_are_none(project: Path) -> None:
    said = usher(project, "run", "--only", "dance", code=2).stderr
    assert "'dance' is not a part of the job; it has evaluate, deliver, serve and pull" in said


def test_keys_by_hand(project: Path) -> None:
    assert usher(project, "keys", "list").stdout == ""
    made = usher(
        project, "keys", "create", "--scope", "audiences:read", "--scope", "admin",
        "--audience", "keen", "--expires", "90d", "--name", "the shop",
    )  # fmt: skip
    assert re.fullmatch(r"usher_[0-9a-z]{8}_[0-9A-Za-z]{49}\n", made.stdout)
    id = made.stdout[6:14]
    assert f"usher: {id}  admin, audiences:read; of keen; the shop; made " in made.stderr
    assert made.stderr.endswith("; the key is shown this once\n")
    (listed,) = usher(project, "keys", "list", "--format", "json").stdout.splitlines()
    facts = json.loads(listed)
    assert (facts["id"], facts["scopes"], facts["audiences"], facts["name"]) == (
        id,
        ["admin", "audiences:read"],
        ["keen"],
        "the shop",
    )
    assert (facts["expires_at"] > facts["created_at"], facts["revoked_at"]) == (True, None)
    assert made.stdout.strip() not in listed
    usher(project, "keys", "revoke", id)
    assert "; revoked 2" in usher(project, "keys", "list").stdout
    unknown = usher(project, "keys", "revoke", "nobody", code=2)
    assert unknown.stderr == "usher: there is no key nobody; see: usher keys list\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scope", "everything"), "'everything' is not one of"),
        ((), "Missing option '--scope'"),
        (("--scope", "admin", "--audience", "none"), "unknown audience 'none'"),
        (("--scope", "admin", "--expires", "2001-01-01"), "is not later than now"),
        (("--scope", "admin", "--expires", "soon"), "is not later than now"),
        (("--scope", "admin", "--expires", "3000000d"), "'3000000d' is beyond the year 9999"),
    ],
)
def test_keys_that_cannot_be(project: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in usher(project, "keys", "create", *arguments, code=2).stderr


def test_a_key_until_the_end_of_the_calendar(project: Path) -> None:
    last = "9999-12-31T23:59:59.999999Z"
    usher(project, "keys", "create", "--scope", "admin", "--expires", last)
    assert "; expires 9999-12-31\n" in usher(project, "keys", "list").stdout
