"""What all verbs have in common: help with an example, and exit codes that mean something."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import _VERBS, usher
from tests.cli.jobs import USHER
from tests.cli.projects import DEFINITION, changed, write_project


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(usher, [str(argument) for argument in arguments])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


@pytest.mark.parametrize("verb", ["", *_VERBS])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_has_an_example(verb: str, option: str) -> None:
    result = invoke(*verb.split(), option)
    assert result.exit_code == 0
    assert re.search(rf"Example:\n +usher .*{verb}", result.stdout)


def test_the_command_line_says_its_version() -> None:
    assert invoke("--version").stdout == "usher, version 0.1.0\n"


@pytest.mark.parametrize("verb", ["validate", "backtest", "run"])
def test_mistakes_in_definitions(project: Path, verb: str) -> None:
    audiences = {"keen": {"parent_model": "users", "where": {"performed": "page_viewd"}}}
    write_project(project, changed(audiences=audiences))
    result = invoke("-C", project, verb)
    assert result.exit_code == 2
    assert "did you mean 'page_viewed'?" in result.output
    assert not (project / ".usher").exists()


@pytest.mark.parametrize("verb", ["validate", "backtest", "run"])
def test_a_missing_secret(project: Path, verb: str) -> None:
    path = {"web": {**DEFINITION["sources"]["web"], "path": "${NOBODY_HAS_SET_THIS}"}}
    write_project(project, changed(sources=path))
    result = invoke("-C", project, verb)
    assert result.exit_code == 3
    assert "NOBODY_HAS_SET_THIS" in result.output


@pytest.mark.parametrize("verb", ["validate", "backtest", "run"])
def test_a_folder_without_a_project(tmp_path: Path, verb: str) -> None:
    result = invoke("-C", tmp_path, verb)
    assert result.exit_code == 2
    assert "there is no definition here" in result.output


def test_a_project_without_mistakes(project: Path) -> None:
    assert invoke("-C", project, "validate").exit_code == 0
    assert invoke("schema").exit_code == 0


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["-C", "/nowhere", "validate"], ["run", "--workers", "many"], []]
)
def test_mistakes_in_arguments(arguments: list[str]) -> None:
    done = subprocess.run([USHER, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Usage: usher" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_who_has_seen_enough() -> None:
    command = f"set -o pipefail; {USHER} schema --reference | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
