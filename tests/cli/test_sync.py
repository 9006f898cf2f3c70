"""`usher sync preview`: what would be sent, without sending it."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from cli.main import usher
from tests.cli.projects import changed, write_project

SYNCS: dict[str, dict[str, object]] = {
    "mapped": {
        "audience": "quiet",
        "destination": "archive",
        "only_if": {"ltv": {"at_least": 10}},
        "mapping": {"who": "{{ user_id }}", "value": "{{ properties.ltv }}", "in": "{{ entered }}"},
    },
    "plain": {"audience": "quiet", "destination": "archive", "on": ["exited"]},
    "broken": {
        "audience": "quiet", "destination": "archive", "on": ["entered"],
        "mapping": {"value": ["{{ user_id | e164 }}"]},
    },
}  # fmt: skip


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(usher, [str(one) for one in arguments])


def previewed(root: Path, *arguments: str) -> list[dict[str, object]]:
    result = invoke("-C", root, "sync", "preview", *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_before_anything_has_happened(tmp_path: Path) -> None:
    root = write_project(tmp_path, changed(syncs=SYNCS))
    result = invoke("-C", root, "sync", "preview", "mapped")
    assert result.exit_code == 3
    assert "usher pull users" in result.output

    assert invoke("-C", root, "pull").exit_code == 0
    entered, exited = previewed(root, "mapped", "--user", "u1")
    assert entered["body"] == {"who": "u1", "value": 20, "in": True}
    assert exited["body"] == {"who": "u1", "value": 20, "in": False}
    assert entered["id"] != exited["id"]


def test_who_is_withheld_and_what_cannot_be_mapped(tmp_path: Path) -> None:
    root = write_project(tmp_path, changed(syncs=SYNCS))
    assert invoke("-C", root, "pull").exit_code == 0

    assert [set(one) for one in previewed(root, "mapped", "--user", "u2")] == [
        {"sync", "type", "user_id", "withheld"}
    ] * 2
    (plain,) = previewed(root, "plain", "--user", "u2")
    body = plain["body"]
    assert isinstance(body, dict)
    assert (body["type"], body["user_id"], body["audience"]) == ("exited", "u2", "quiet")
    (broken,) = previewed(root, "broken", "--user", "nobody")
    assert "value[0]: it is no telephone number" in str(broken["unsendable"])


def test_an_unknown_sync(tmp_path: Path) -> None:
    result = invoke("-C", write_project(tmp_path), "sync", "preview", "al")
    assert result.exit_code == 2
    assert "unknown sync 'al'; the project has all" in result.output


def test_the_request_of_a_destination_that_speaks_http(tmp_path: Path) -> None:
    hook = {"type": "webhook", "url": "https://hooks.example.com/in"}
    mapped = {**SYNCS["mapped"], "destination": "hook"}
    root = write_project(tmp_path, changed(destinations={"hook": hook}, syncs={"mapped": mapped}))
    assert invoke("-C", root, "pull").exit_code == 0

    result = invoke("-C", root, "sync", "preview", "mapped", "--user", "u1")
    assert result.exit_code == 0, result.output
    assert "POST" in result.output
    assert "hooks.example.com" in result.output
    assert '{"who":"u1","value":20,"in":true}' in result.output
