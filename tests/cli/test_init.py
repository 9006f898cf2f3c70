"""`usher init` writes a project that works at once, and never over somebody's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import usher


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(usher, [str(argument) for argument in arguments])


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "some" / "shop"
    result = invoke("init", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_the_project_has_no_mistake_and_no_warning(shop: Path) -> None:
    result = invoke("-C", shop, "validate")
    assert result.exit_code == 0
    assert result.output.endswith("no mistake\n")


def test_the_sample_events_make_people_enter_and_leave(shop: Path, tmp_path: Path) -> None:
    output = tmp_path / "transitions.jsonl"
    result = invoke("-C", shop, "backtest", "--output", output)
    assert result.exit_code == 0, result.output
    transitions = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(t["user_id"], t["type"], t["audience"], t["effective_at"]) for t in transitions] == [
        ("ada", "entered", "ready_to_buy", "2026-03-01T09:04:02.250000Z"),
        ("ada", "exited", "ready_to_buy", "2026-03-01T09:11:10.000000Z"),
        ("ben", "entered", "ready_to_buy", "2026-03-01T09:12:40.000000Z"),
        ("ben", "exited", "ready_to_buy", "2026-03-01T09:15:20.125000Z"),
        ("dan", "entered", "left_a_cart", "2026-03-01T10:01:15.000000Z"),
        ("dan", "exited", "left_a_cart", "2026-03-01T10:22:45.750000Z"),
        ("fay", "entered", "left_a_cart", "2026-03-01T11:00:00.000000Z"),
        ("fay", "exited", "left_a_cart", "2026-03-01T12:30:00.000000Z"),
    ]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    assert invoke("init", tmp_path).exit_code == 0
    assert (tmp_path / "audiences.yml").is_file()


@pytest.mark.parametrize("present", ["notes.txt", ".hidden"])
def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, present: str) -> None:
    (tmp_path / present).write_text("mine")
    result = invoke("init", tmp_path)
    assert result.exit_code == 2
    assert "not an empty folder; nothing was written" in result.output
    assert [path.name for path in tmp_path.iterdir()] == [present]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shop"
    file.write_text("mine")
    assert invoke("init", file).exit_code == 2
    assert invoke("init", file / "below").exit_code == 3
    assert file.read_text() == "mine"
