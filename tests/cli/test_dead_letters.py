"""`usher dead-letters`: events that could not be understood."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from cli.main import usher
from tests.cli.projects import write_project


def letter(line: int, excerpt: str, at: str = "2026-03-01T10:00:00.000000Z") -> str:
    told = {"received_at": at, "file": "live/web.jsonl", "line": line, "reason": "not JSON"}
    return json.dumps({**told, "excerpt": excerpt}) + "\n"


def printed(root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(usher, ["-C", str(root), "dead-letters", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_each_is_listed_once_and_shown_without_harm(tmp_path: Path) -> None:
    root = write_project(tmp_path)
    (root / ".usher").mkdir()
    again = letter(1, "{", at="2026-03-01T11:00:00.000000Z")
    lines = letter(1, "{") + letter(2, '"\x1b[2J') + again + '{"received_at": "20'
    (root / ".usher" / "dead-letters.jsonl").write_text(lines)

    first, second = printed(root).splitlines()
    assert first.startswith("2026-03-01T10:00:00.000000Z  event-")
    assert first.endswith("live/web.jsonl:1  not JSON")
    facts = [json.loads(one) for one in printed(root, "list", "--format", "json").splitlines()]
    assert [one["line"] for one in facts] == [1, 2]
    assert facts[1]["id"] in second
    shown = printed(root, "show", facts[1]["id"])
    assert '> "\\x1b[2J' in shown


def test_without_any(tmp_path: Path) -> None:
    root = write_project(tmp_path)
    assert printed(root) == printed(root, "list") == ""
    assert not (root / ".usher").exists()
