"""The first start says that it compiles, and for how long."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli import compiling


def test_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiling, "INTERPRETED", False)
    monkeypatch.setattr(compiling, "_DONE", tmp_path / "complete")
    compiling.compile_core()
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith("usher: compiling the core, once on this machine (kept in ")
    assert re.fullmatch(r"usher: compiled in \d+ s", second)
    compiling.compile_core()
    assert capsys.readouterr().err == ""
