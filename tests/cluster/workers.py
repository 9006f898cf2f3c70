"""The worker processes of a job that runs: who they are, and what is done to them."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.jobs import eventually
from tests.faults.processes import Process, process


def workers_of(supervisor: int) -> list[int]:
    """Their process ids, in the order of their numbers."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                is_worker = b"cli.child\0worker" in (folder / "cmdline").read_bytes()
            except (OSError, ValueError, IndexError):
                continue  # it has ended meanwhile
            if parent == supervisor and is_worker:
                found.append(int(folder.name))
    return sorted(found)


def runs(process_id: int) -> bool:
    """Whether a process still does; one that has ended and not been asked for its code does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def await_workers(
    one: Process, root: Path, count: int, others: Collection[int] = (), total: int = 0
) -> list[int]:
    """Until so many workers have met, none of them among the others; their process ids.

    With those of other machines they are `total`.
    """

    def met() -> list[int]:
        assert one.runs, one.said()
        found = workers_of(one.id)
        names = {path.name for path in (root / ".usher" / "cluster").glob("*/begin/*")}
        have_met = len(found) == count and len(names) == (total or count)
        return found if have_met and not set(others) & set(found) else []

    return eventually(met)


def kill(process_id: int) -> None:
    os.kill(process_id, signal.SIGKILL)


@contextmanager
def cluster(root: Path, count: int, *arguments: str) -> Iterator[Process]:
    """A job of so many workers, which have met."""
    with process(root, "--workers", str(count), *arguments) as one:
        one.await_begin()
        await_workers(one, root, count)
        yield one
