"""A reader who types what the documents say sees what they show."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.docs.console import Typed, run, steps

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "docs" / "tutorial.md"]


@pytest.fixture
def environment() -> dict[str, str]:
    """A plain shell that finds `usher`, with a terminal 100 columns wide that has no colours."""
    keep = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return keep | {"PATH": path, "COLUMNS": "100", "TERM": "dumb", "PYTHONUTF8": "1"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_document_runs(document: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    assert any(isinstance(step, Typed) for step in steps(document))
    differences = run(document, tmp_path, environment)
    assert not differences, "\n\n".join(differences)
