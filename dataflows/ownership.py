"""One job a project: whoever holds the lock in the project's `.usher` folder owns it.

Beside it is the sign that somebody delivers, which may be another process than the job.  Several
may hold it, for a while: in the store one takes over from the other.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from dataflows.refusal import JobRefused

FOLDER = ".usher"

# Seconds that the processes of a job may take to notice that it has been killed.
_ENDING = 10.0
_PAUSE = 0.05


def usher_folder(root: Path) -> Path:
    """Where a project's job keeps what it remembers; readable by its owner only."""
    folder = root / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def is_owned(root: Path) -> bool:
    """Whether a job holds the project's folder at this moment."""
    with _lock(root).open("a") as lock:
        return not _taken(lock)


@contextmanager
def sole_job(root: Path) -> Iterator[int]:
    """Hold the project's folder for one job.

    A job may have several processes.  They inherit the descriptor that is yielded: as long as one
    of them lives, no other job begins, even if the one that has started them is gone.

    Raises:
        JobRefused: another job holds it.
    """
    folder = usher_folder(root)
    with _lock(root).open("a") as lock, (folder / "workers.lock").open("a") as workers:
        if not _taken(lock):
            raise JobRefused(f"another job runs on this project (it holds {lock.name})")
        deadline = time.monotonic() + _ENDING
        while not _taken(workers):
            if time.monotonic() > deadline:
                raise JobRefused(
                    "processes of an earlier job still run on this project (they hold "
                    f"{workers.name}); end them"
                )
            time.sleep(_PAUSE)
        yield workers.fileno()


def is_delivered(root: Path) -> bool:
    """Whether a process of this machine delivers the project's syncs at this moment."""
    with _sign(root).open("a") as sign:
        return not _taken(sign)


@contextmanager
def delivering(root: Path) -> Iterator[None]:
    """Show that this process delivers."""
    with _sign(root).open("a") as sign:
        fcntl.flock(sign, fcntl.LOCK_SH)
        yield


def _taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock(root: Path) -> Path:
    return usher_folder(root) / "lock"


def _sign(root: Path) -> Path:
    return usher_folder(root) / "deliveries.lock"
