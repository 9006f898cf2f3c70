"""The kernels give the same answers as plain Python as they do compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.engine import story

ROOT = Path(__file__).parents[2]


def test_interpreted_equals_compiled() -> None:
    interpreted = subprocess.run(
        [sys.executable, "-m", "tests.engine.story"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert interpreted.stderr == ""
    assert interpreted.stdout == story.tell()
    assert len(interpreted.stdout.splitlines()) > 500
