"""Where compiled kernels are kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from engine.compiled import cache_folder

ROOT = Path(__file__).parents[2]


def _installed(folder: Path) -> Path:
    for package in ("engine", "connectors/sources"):
        shutil.copytree(ROOT / package, folder / package)
    return folder


def test_each_installation_keeps_its_own_kernels(tmp_path: Path) -> None:
    one, other = _installed(tmp_path / "one"), _installed(tmp_path / "other")
    assert cache_folder(one) == cache_folder(one)
    assert cache_folder(one) != cache_folder(other)


def test_kernels_that_are_written_anew_are_compiled_anew(tmp_path: Path) -> None:
    root = _installed(tmp_path)
    before = cache_folder(root)
    os.utime(root / "engine" / "series.py", ns=(1, 1))
    assert cache_folder(root) != before
