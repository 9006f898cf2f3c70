"""One job a project: whoever holds the lock in the project's `.usher` folder owns it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataflows.preparation import JobRefused


def usher_folder(root: Path) -> Path:
    """Where a project's job keeps what it remembers; readable by its owner only."""
    folder = root / ".usher"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def sole_job(root: Path) -> Iterator[None]:
    """Hold the project's folder for one job.

    Raises:
        JobRefused: another job holds it.
    """
    path = usher_folder(root) / "lock"
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JobRefused(f"another job runs on this project (it holds {path})") from None
        yield
