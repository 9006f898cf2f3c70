"""The store that a job is resumed from, checked before it is used.

State and the sources' positions are kept in Bytewax's recovery store, in exactly one partition,
because a damaged store of several can be resumed wrongly without anybody noticing.  Beside it lie
the versions of the plans that the state belongs to.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import msgspec
from bytewax.recovery import RecoveryConfig, init_db_dir

from dataflows.ownership import usher_folder
from dataflows.preparation import JobRefused
from project.folder import LoadedProject

_STORE = "recovery"
_PLANS = "plans.json"
_PARTITION = "part-0.sqlite3"


def open_recovery(loaded: LoadedProject, *, fresh: bool) -> RecoveryConfig:
    """The project's store, made if there is none; `fresh` forgets what it holds.

    To be called before the flow runs, never beside it: closing a second handle on the database
    would take away the running one's locks.

    Raises:
        JobRefused: the store is damaged or belongs to other definitions.
    """
    folder = usher_folder(loaded.root) / _STORE
    versions = {parent: one.plan.version for parent, one in loaded.project.plans.items()}
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        _make(folder, versions)
    elif _stored_versions(folder) != versions:
        raise JobRefused(
            "the definitions have changed since the job's state was stored, and this release "
            "cannot carry the state over; start with --fresh to count anew from the sources"
        )
    else:
        _verify(folder)
    return RecoveryConfig(folder, None)  # type: ignore[no-untyped-call]


def damaged(folder: Path, why: object) -> JobRefused:
    return JobRefused(
        f"the stored state in {folder} is damaged ({why}); start with --fresh to count anew from "
        "the sources"
    )


def _make(folder: Path, versions: dict[str, str]) -> None:
    aside = folder.with_suffix(".part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    init_db_dir(aside, 1)  # type: ignore[no-untyped-call]
    (aside / _PLANS).write_bytes(msgspec.json.encode(versions))
    aside.rename(folder)


def _stored_versions(folder: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode((folder / _PLANS).read_bytes(), type=dict[str, str])
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
