"""What a destination is told of where it is opened, beside its own settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Relative paths start at `root`; `tell` takes a sentence for whoever looks at the job."""

    root: Path
    tell: Callable[[str], None]
