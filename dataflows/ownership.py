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


def is_owned(root: Path) -> bool:
    """Whether a job holds the project's folder at this moment."""
    with _lock(root).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@contextmanager
def sole_job(root: Path) -> Iterator[None]:
    """Hold the project's folder for one job.

    Raises:
        JobRefused: another job holds it.
    """
    path = _lock(root)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JobRefused(f"another job runs on this project (it holds {path})") from None
        yield


def _lock(root: Path) -> Path:
    return usher_folder(root) / "lock"
