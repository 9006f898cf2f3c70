"""Rules of the house that no linter knows: the repository is read like any other input."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "engine", "audience_dsl", "connectors", "warehouse", "membership", "schedules", "project",
    "dataflows", "serving", "cli",
)  # fmt: skip
PURE = ("engine", "audience_dsl", "schedules")
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "localtime"}
ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:root|home|Users|work|tmp)/\w")


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def own_files() -> list[Path]:
    """Every file that is, or could now be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", python_files(*PURE), ids=named)
def test_pure_packages_never_ask_for_the_time(path: Path) -> None:
    asked = [
        f"{path.name}:{node.lineno}: {node.func.attr}()"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"datetime", "date", "time"}
    ]
    assert asked == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        named(path)
        for path in python_files(*PACKAGES, "benchmarks", "examples", "tests")
        if path.name != "__init__.py"
        and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    found = [
        f"{named(path)}:{number}: {line.strip()}"
        for path in own_files()
        if path.suffix in {".py", ".md", ".yml", ".toml", ".cfg", ""} and path != Path(__file__)
        for number, line in enumerate(_lines(path), 1)
        if ABSOLUTE.search(line)
    ]
    assert found == []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def test_no_large_file_is_committed() -> None:
    large = [named(path) for path in own_files() if path.stat().st_size > 1_000_000]
    assert large == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_ours_and_not_a_namesake_from_the_registry(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).parent == ROOT / package


def pinned() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in (*project["dependencies"], *extras["dev"]):
        own = re.fullmatch(r"usher\[(.*)\]", requirement)
        for one in chain(*(extras[key] for key in own[1].split(","))) if own else [requirement]:
            yield re.sub(r"\[.*\]", "", one)  # extras are locked under names of their own


def test_the_lock_file_holds_every_dependency_at_its_pinned_version() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([\w.-]+==[\w.]+)", lock, flags=re.MULTILINE))
    assert [requirement for requirement in pinned() if requirement not in locked] == []


def test_every_dependency_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    runtime = text.partition("dependencies = [")[2].partition("\n]")[0]
    assert [line for line in runtime.splitlines() if "==" in line and "#" not in line] == []
