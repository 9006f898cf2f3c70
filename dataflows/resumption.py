"""What Bytewax will resume from, read from its store before it does.

Bytewax takes what it finds.  Its store is a database whose pages have no checksums, so whoever
wants to know that a job resumes from one moment, and all of it, has to look first.  The tables and
the rule by which an epoch is chosen are those of the Bytewax release that is pinned; a test holds
them against it.
"""

from __future__ import annotations

import errno
import io
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from typing_extensions import override

PARTITION = "part-0.sqlite3"

# These say nothing of what is stored.
_OF_THE_DISK = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN)

_NEWEST = """
SELECT step_id, state_key, MAX(snap_epoch), ser_change FROM snaps WHERE snap_epoch < ?
GROUP BY step_id, state_key
"""


class DamagedStore(Exception):
    """The store is not as Bytewax has written it."""


class StoredRow(msgspec.Struct, frozen=True):
    """The snapshot of one key of one step, and the epoch at whose end it was taken."""

    step: str
    key: str
    epoch: int
    state: bytes


def read_resumption(folder: Path) -> list[StoredRow]:
    """The newest snapshot of every key; only while no flow of this process uses the store.

    Raises:
        DamagedStore: see there.
        OSError: the disk is full, or fails.
    """
    path = folder / PARTITION
    if not path.exists():
        raise DamagedStore(f"{PARTITION} is missing")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            return _read(database)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _OF_THE_DISK:
            raise OSError(errno.EIO, str(error), str(path)) from error
        raise DamagedStore(str(error)) from error
    except (sqlite3.Error, pickle.UnpicklingError, EOFError, TypeError, ValueError) as error:
        raise DamagedStore(str(error)) from error


def _read(database: sqlite3.Connection) -> list[StoredRow]:
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise DamagedStore(verdict)
    if database.execute("SELECT part_index, part_count FROM parts").fetchall() != [(0, 1)]:
        raise DamagedStore(f"{PARTITION} is not the one partition of a store")
    epoch = _resume_epoch(database)
    return [
        StoredRow(step, key, at, state)
        for step, key, at, change in database.execute(_NEWEST, (epoch,))
        if change is not None and (state := _unpickled(change)) is not None
    ]


def _resume_epoch(database: sqlite3.Connection) -> int:
    """The epoch that the slowest worker of the latest execution had come to."""
    executions: list[tuple[int, int, int]] = database.execute(
        "SELECT ex_num, worker_count, resume_epoch FROM exs"
    ).fetchall()
    if not executions:
        return 0
    number, workers, resumed = max(executions)
    query = "SELECT worker_index, worker_frontier FROM fronts WHERE ex_num = ?"
    reached: dict[int, int] = dict(database.execute(query, (number,)).fetchall())
    return min(max(resumed, reached.get(worker, resumed)) for worker in range(workers))


class _BytesOnly(pickle.Unpickler):
    """Our snapshots are bytes or nothing; whatever else a pickle may hold is not made."""

    @override
    def find_class(self, module: str, name: str, /) -> Any:
        raise pickle.UnpicklingError(f"a snapshot asks for {module}.{name}")


def _unpickled(change: bytes) -> bytes | None:
    state = _BytesOnly(io.BytesIO(change)).load()
    if state is not None and not isinstance(state, bytes):
        raise pickle.UnpicklingError("a snapshot is not bytes")
    return state
