"""Where a destination is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Relative paths start at `root`, the project folder; `tell` takes a sentence for people."""

    root: Path
    tell: Callable[[str], None]
