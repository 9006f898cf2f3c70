"""The membership store that a project names under `store`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

from audience_dsl.definitions import Settings
from membership.database import Database
from membership.errors import StoreError, StoreMissing
from membership.job_note import JobNotes
from membership.ledger import Ledger
from membership.reader import MembershipReader
from membership.retention import Retention
from membership.sqlite import SqliteDatabase
from membership.store import MembershipStore
from project.folder import LoadedProject

_DEFAULT = Settings("store", "sqlite")
_PATH = ".usher/state.db"
_SCHEMA = "usher"


def is_of_one_machine(loaded: LoadedProject) -> bool:
    """Whether no other machine can reach the store."""
    return _settings(loaded).type == "sqlite"


def open_store(loaded: LoadedProject) -> MembershipStore:
    """For writing; it is made, checked and brought up to this release.

    Raises:
        StoreError: it cannot be written, is damaged, or belongs to a later release.
    """
    return MembershipStore(_database(loaded, writable=True))


def open_reader(loaded: LoadedProject) -> MembershipReader:
    """For reading beside a running job.

    Raises:
        StoreMissing: nothing has been recorded yet.
        StoreError: it cannot be read.
    """
    return MembershipReader(_database(loaded, writable=False))


@contextmanager
def open_ledger(loaded: LoadedProject) -> Iterator[Ledger]:
    """For asking something of deliveries, beside a running job; nothing is made here.

    Raises:
        StoreMissing: nothing has been recorded yet.
        StoreError: it cannot be read or written.
    """
    open_reader(loaded).close()
    with closing(_database(loaded, writable=True, verify=False)) as database:
        yield Ledger(database)


def open_job_notes(loaded: LoadedProject) -> JobNotes:
    """For noting how far the job has come, beside what it records.

    Raises:
        StoreMissing: nothing has been recorded yet.
        StoreError: it cannot be written.
    """
    return JobNotes(_database(loaded, writable=True, verify=False))


def retention_of(loaded: LoadedProject) -> Retention:
    """How long the project wants its journal to remember."""
    options = _settings(loaded).options
    return Retention(
        cast(int | None, options.get("keep_for")), cast(int | None, options.get("keep_rows"))
    )


def is_local(loaded: LoadedProject) -> bool:
    """Whether the store is a file, which answers at once, rather than a server."""
    return _settings(loaded).type == "sqlite"


def store_problem(loaded: LoadedProject) -> str:
    """Why the store cannot be reached; empty if it can, or if the first start will make it."""
    try:
        _database(loaded, writable=False).close()
    except StoreMissing:
        return ""
    except StoreError as error:
        return str(error)
    return ""


def _settings(loaded: LoadedProject) -> Settings:
    return loaded.project.store or _DEFAULT


def _database(loaded: LoadedProject, *, writable: bool, verify: bool = True) -> Database:
    settings = _settings(loaded)
    options = settings.options
    if settings.type == "postgres":
        schema = str(options.get("schema", _SCHEMA))
        # Its client is imported where there is such a store, and not with every command.
        from membership.postgres import PostgresDatabase

        return PostgresDatabase(str(options["url"]), schema, writable=writable)
    path = Path(str(options.get("path", _PATH)))
    return SqliteDatabase(loaded.root / path, writable=writable, verify=verify)
