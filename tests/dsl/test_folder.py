"""A project folder as a user has it: files on disk, and the commands `validate` and `schema`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from audience_dsl.definitions import ColumnType, Comparison
from audience_dsl.json_schema import json_schema
from cli.main import usher
from connectors.destinations.registry import OPTIONS
from project.folder import load_project, read_files

SCHEMA = """\
warehouse: {type: duckdb, path: shop.duckdb}
sources: {web: {type: file, format: segment, path: events/*.jsonl}}
parent_models: {users: {from: {table: users}, primary_key: user_id}}
events: {viewed: {source: web, type: page, parent_model: users}}
"""
AUDIENCE = "audiences: {a: {parent_model: users, where: {property: ltv, at_least: 3}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "schema.yml").write_text(SCHEMA)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "audiences.yaml").write_text(AUDIENCE)
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as database:
        database.execute("create table users (user_id varchar, ltv decimal(10, 2), plan varchar)")
    return tmp_path


def run(*arguments: str | Path, env: dict[str, str | None] | None = None) -> Result:
    return CliRunner().invoke(usher, [str(one) for one in arguments], env=env)


def test_a_folder_is_loaded_with_the_types_of_its_warehouse(folder: Path) -> None:
    loading = load_project(folder, {})
    assert loading.diagnostics == ()
    assert loading.loaded is not None
    assert loading.loaded.root == folder
    (predicate,) = loading.loaded.project.plans["users"].predicates
    assert predicate == Comparison("ltv", "at_least", 3, ColumnType.NUMBER)


def test_hidden_folders_and_other_files_are_left_alone(folder: Path) -> None:
    (folder / ".usher").mkdir()
    (folder / ".usher" / "x.yml").write_text("broken: [")
    (folder / ".hidden.yml").write_text("broken: [")
    (folder / "notes.txt").write_text("broken: [")
    (folder / "folder.yml").mkdir()
    files, unreadable = read_files(folder)
    assert list(files) == ["more/audiences.yaml", "schema.yml"]
    assert unreadable == []


def test_validate_says_what_there_is(folder: Path) -> None:
    result = run("-C", folder, "validate")
    assert result.exit_code == 0
    assert result.output == (
        "project: 1 audience, 0 event conditions, 1 warehouse condition, no mistake\n"
    )


def test_validate_shows_every_mistake_and_exits_with_2(folder: Path) -> None:
    (folder / "more" / "audiences.yaml").write_text(AUDIENCE.replace("ltv", "ltw"))
    (folder / "schema.yml").write_text(SCHEMA.replace("source: web", "source: wep"))
    result = run("-C", folder, "validate")
    assert result.exit_code == 2
    assert "more/audiences.yaml:1:56: unknown property 'ltw' of users\n" in result.output
    assert "  did you mean 'ltv'?" in result.output
    assert "schema.yml:4:27: unknown source 'wep'" in result.output
    assert result.output.endswith("\n2 errors\n")


def test_validate_as_json_is_one_object_a_line(folder: Path) -> None:
    (folder / "more" / "audiences.yaml").write_text(AUDIENCE.replace("ltv", "ltw") + "x: 1\n")
    result = run("-C", folder, "validate", "--format", "json")
    assert result.exit_code == 2
    lines = [json.loads(line) for line in result.output.splitlines()]
    assert [line["code"] for line in lines] == ["unknown-name", "unknown-key"]
    assert list(lines[0]) == [
        "file", "line", "column", "end_column", "severity", "code", "message", "help", "kind",
    ]  # fmt: skip


def test_a_secret_may_stand_in_a_file(folder: Path) -> None:
    (folder / "syncs.yml").write_text(
        "destinations: {hook: {type: webhook, url: https://a.example/, secret: ${file:run/key}}}\n"
        "syncs: {s: {audience: a, destination: hook}}\n"
    )
    (folder / "run").mkdir()
    unread = run("-C", folder, "validate")
    assert unread.exit_code == 3
    assert "syncs.yml:1:" in unread.output
    assert "the file run/key cannot be read as a text" in unread.output
    for content in (b"\xff", b"x" * 70_000):
        (folder / "run" / "key").write_bytes(content)
        assert run("-C", folder, "validate").exit_code == 3
    (folder / "run" / "key").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    loaded = load_project(folder, {}).loaded
    assert loaded is not None
    options = loaded.project.destinations["hook"].options
    assert options["secret"] == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    (folder / "run" / "key").write_text("whsec_not-a-key")
    wrong = run("-C", folder, "validate")
    assert wrong.exit_code == 2
    assert "not-a-key" not in wrong.output


def test_a_missing_variable_exits_with_3(folder: Path) -> None:
    text = "destinations: {hook: {type: webhook, url: https://example.com, secret: ${USHER_S}}}"
    (folder / "hook.yml").write_text(text)
    missing = run("-C", folder, "validate", env={"USHER_S": None})
    assert missing.exit_code == 3
    assert "the environment variable USHER_S is not set" in missing.output
    given = run("-C", folder, "validate", env={"USHER_S": "whsec_" + "c2VjcmV0" * 4})
    assert given.exit_code == 0
    wrong = run("-C", folder, "validate", env={"USHER_S": "canary"})
    assert wrong.exit_code == 2
    assert "hook.yml:1:72: this is not a secret of Standard Webhooks" in wrong.output
    assert "canary" not in given.output + wrong.output


def test_what_is_no_text_is_told_with_its_place(folder: Path) -> None:
    (folder / "bad.yml").write_bytes(b"project: ok\n# caf\xe9\n")
    result = run("-C", folder, "validate")
    assert result.exit_code == 2
    assert "bad.yml:2:6: the file is not UTF-8: byte 0xe9" in result.output


def test_a_huge_file_is_refused_without_being_read_whole(folder: Path) -> None:
    (folder / "bad.yml").write_bytes("é".encode() * 2_000_000)
    result = run("-C", folder, "validate")
    assert result.exit_code == 2
    assert "the file is larger than 1 MB" in result.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_told(folder: Path) -> None:
    (folder / "schema.yml").chmod(0)
    result = run("-C", folder, "validate")
    assert result.exit_code == 2
    assert "schema.yml:1:1: it cannot be read: Permission denied" in result.output


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    result = run("-C", tmp_path, "validate")
    assert result.exit_code == 2
    assert "usher init" in result.output


def test_without_its_warehouse_a_project_is_valid_with_a_warning(folder: Path) -> None:
    (folder / "shop.duckdb").unlink()
    result = run("-C", folder, "validate")
    assert result.exit_code == 0
    assert "warning: the columns of 'users' cannot be checked" in result.output
    assert result.output.endswith("no mistake, 1 warning\n")


def test_connect_tries_every_system(folder: Path) -> None:
    (folder / "more" / "bus.yml").write_text(
        "destinations:\n"
        "  archive: {type: file, path: out/x.jsonl}\n"
        "  bus: {type: kafka, bootstrap_servers: '127.0.0.1:1', topic: t}\n"
    )
    result = run("-C", folder, "validate", "--connect")
    assert result.exit_code == 3
    assert "parent model users: reached" in result.output
    assert "source web: no file matches events/*.jsonl" in result.output
    assert "destination archive: reached" in result.output
    assert "destination bus: Kafka at 127.0.0.1:1 cannot be reached: " in result.output
    assert "Connection refused" in result.output


def test_schema_prints_the_json_schema() -> None:
    result = run("schema")
    assert result.exit_code == 0
    assert json.loads(result.output) == json_schema(OPTIONS)


def test_schema_prints_the_reference() -> None:
    expected = (Path(__file__).parents[2] / "docs" / "language.md").read_text()
    assert run("schema", "--reference").output == expected
