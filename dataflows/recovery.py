"""The store that a job is resumed from, checked before it is used.

State and the sources' positions are kept in Bytewax's recovery store, in exactly one partition,
because a damaged store of several can be resumed wrongly without anybody noticing.  Beside it lies
which audiences the state knows.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import msgspec
from bytewax.recovery import RecoveryConfig, init_db_dir

from dataflows.ownership import usher_folder
from dataflows.preparation import JobRefused
from dataflows.removals import Known, known_audiences
from project.folder import LoadedProject

_STORE = "recovery"
_AUDIENCES = "audiences.json"
_PARTITION = "part-0.sqlite3"


def open_recovery(loaded: LoadedProject, *, fresh: bool) -> RecoveryConfig:
    """The project's store, made if there is none; `fresh` forgets what it holds.

    To be called before the flow runs, never beside it: closing a second handle on the database
    would take away the running one's locks.

    Raises:
        JobRefused: the store is damaged.
    """
    folder = usher_folder(loaded.root) / _STORE
    known = known_audiences(loaded.project)
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        _make(folder, known)
    else:
        _verify(folder)
        if _read_known(folder) != known:
            _write_known(folder, known)
    return RecoveryConfig(folder, None)  # type: ignore[no-untyped-call]


def stored_audiences(root: Path) -> Known:
    """The audiences that a project's stored state knows.

    Raises:
        JobRefused: the store is damaged.
    """
    folder = usher_folder(root) / _STORE
    return _read_known(folder) if folder.exists() else {}


def damaged(folder: Path, why: object) -> JobRefused:
    return JobRefused(
        f"the stored state in {folder} is damaged ({why}); start with --fresh to count anew from "
        "the sources"
    )


def _make(folder: Path, known: Known) -> None:
    aside = folder.with_suffix(".part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    init_db_dir(aside, 1)  # type: ignore[no-untyped-call]
    _write_known(aside, known)
    aside.rename(folder)


def _write_known(folder: Path, known: Known) -> None:
    """In one step, durable before the state of these audiences is."""
    aside = folder / f"{_AUDIENCES}.part"
    with aside.open("wb") as file:
        file.write(msgspec.json.encode(known))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / _AUDIENCES)


def _read_known(folder: Path) -> Known:
    try:
        return msgspec.json.decode(
            (folder / _AUDIENCES).read_bytes(), type=dict[str, dict[str, bool]]
        )
    except (OSError, msgspec.MsgspecError) as error:
        raise damaged(folder, error) from error


def _verify(folder: Path) -> None:
    path = folder / _PARTITION
    if not path.exists():
        raise damaged(folder, f"{_PARTITION} is missing")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as database:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
            counts = database.execute("SELECT part_index, part_count FROM parts").fetchall()
    except sqlite3.Error as error:
        raise damaged(folder, error) from error
    if verdict != "ok":
        raise damaged(folder, verdict)
    if counts != [(0, 1)]:
        raise damaged(folder, f"{_PARTITION} is not the one partition of a store")
