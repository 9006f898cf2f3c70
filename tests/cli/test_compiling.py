"""The first start says that it compiles, and for how long."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from cli import compiling


def test_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiling, "INTERPRETED", False)
    monkeypatch.setattr(compiling, "_DONE", tmp_path / "complete")
    monkeypatch.setattr(compiling, "CACHE_FOLDER", tmp_path / "kernels-now")
    compiling.compile_core()
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith("usher: compiling the core, once on this machine (kept in ")
    assert re.fullmatch(r"usher: compiled in \d+ s", second)
    compiling.compile_core()
    assert capsys.readouterr().err == ""


def test_only_what_nobody_has_started_for_long_is_removed(tmp_path: Path) -> None:
    for name, complete, folder in (
        ("kernels-now", 100, 100),
        ("kernels-lately", 2_000, 100),
        ("kernels-old", 100, 2_000),
        ("kernels-begun", None, 2_000),
        ("kernels-given-up", None, 100),
        ("other", 100, 100),
    ):
        (tmp_path / name).mkdir()
        if complete is not None:
            (tmp_path / name / "complete").touch()
            os.utime(tmp_path / name / "complete", (complete, complete))
        os.utime(tmp_path / name, (folder, folder))
    compiling.remove_unused(tmp_path / "kernels-now", 1_000)
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {"kernels-now", "kernels-lately", "kernels-begun", "other"}
