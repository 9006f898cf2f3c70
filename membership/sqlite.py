"""The store as one SQLite file: the default, for one machine.

Write-ahead logging lets readers see the last commit while the next is written, and neither waits
for the other.  A commit is on disk before anybody can read it (`synchronous=FULL`): what has been
shown survives a loss of power.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from membership.database import Dialect, Row, Table
from membership.errors import StoreDamaged, StoreError, StoreMissing, StoreUnavailable

# Writers wait this long for one another (seconds): deliveries and pruning write beside the job.
PATIENCE = 10.0
_PAUSE = 0.01

# Keys that are looked up by one statement: one each would cost twice as much.
_TOGETHER = 100

# Rows that are written by one statement, as many as there are of them.
_AT_ONCE = 100, 10, 1

_DIALECT = Dialect(text="TEXT", position="INTEGER", clustered="WITHOUT ROWID", for_update="")

_SETTINGS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -65536",  # 64 MB: the inner pages of some hundred million rows
    "PRAGMA wal_autocheckpoint = 16000",  # pages: 64 MB; a page that changes often is copied once
    "PRAGMA journal_size_limit = 67108864",
)


class SqliteDatabase:
    """A connection to the file; a writing one makes it if there is none.

    Args:
        verify: Whether one that writes checks the whole file, which takes a while if it is large.

    Raises:
        StoreMissing: it is opened for reading and not there.
        StoreDamaged: it is no database, or not a whole one.
        StoreUnavailable: it cannot be opened.
    """

    dialect = _DIALECT

    def __init__(self, path: Path, *, writable: bool, verify: bool = True) -> None:
        self._path = path
        self._lock = threading.RLock()
        if writable:
            _make(path)
        elif not path.exists():
            raise StoreMissing(f"{path}: nothing has been recorded yet; start usher run first")
        with self._failures():
            self._connection = sqlite3.connect(
                path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                if writable:
                    self._write_ahead()
                for setting in _SETTINGS if writable else ("PRAGMA query_only = ON",):
                    self._connection.execute(setting)
                if writable and verify:
                    self._verify()
            except BaseException:
                self._connection.close()
                raise

    def _write_ahead(self) -> None:
        """Readers do not wait for writers.

        SQLite does not wait for others by itself when it changes this, as those that open a new
        file at once find out.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock, self._failures():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # some errors have rolled it back already
                    self._connection.execute("ROLLBACK")
                raise

    def exclusive(self) -> AbstractContextManager[None]:
        """Every transaction that writes to a SQLite file is the only one."""
        return self.transaction()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._lock, self._failures(), closing(self._connection.cursor()) as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        with self._lock, self._failures(), closing(self._connection.cursor()) as cursor:
            return cursor.execute(sql, parameters).rowcount

    def look_up(self, table: Table, names: Sequence[str], keys: Sequence[Row]) -> list[Row | None]:
        found: list[Row] = []
        with self._lock, self._failures(), closing(self._connection.cursor()) as cursor:
            for first in range(0, len(keys), _TOGETHER):
                some = keys[first : first + _TOGETHER]
                sql = _selection(table, names, len(some))
                found += cursor.execute(sql, [value for key in some for value in key]).fetchall()
        return [None if row[0] is None else row for row in found]

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        self._many(table, rows)

    def upsert(self, table: Table, rows: Sequence[Row]) -> None:
        conflict = f" ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {table.updates}"
        self._many(table, rows, conflict)

    def has_table(self, name: str) -> bool:
        found = self.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
        return bool(found)

    def close(self) -> None:
        with self._lock, self._failures():
            self._connection.close()

    def _many(self, table: Table, rows: Sequence[Row], conflict: str = "") -> None:
        """Few statements: at each, other threads may take the interpreter, and keep it a while."""
        first = 0
        with self._lock, self._failures(), closing(self._connection.cursor()) as cursor:
            for size in _AT_ONCE:
                sql = f"{_insertion(table, size)}{conflict}"
                while first + size <= len(rows):
                    some = rows[first : first + size]
                    cursor.execute(sql, [value for row in some for value in row])
                    first += size

    def _verify(self) -> None:
        (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise _damaged(self._path, verdict.replace("\n", " "))

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:  # a fault of ours
            raise
        except sqlite3.DatabaseError as error:
            raise _failure(self._path, error) from error


def _make(path: Path) -> None:
    """An empty file that only its owner can read: memberships are personal data.

    One that is there is not touched.  To close it would take this process's locks from it, those of
    other connections among them; then another process may take it that nobody writes any more.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if path.is_dir() or not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, "it is a folder, or not to be written by us")
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: the store cannot be written ({error.strerror}); "
            "name another path under store, or change the permissions"
        ) from error


def _insertion(table: Table, rows: int) -> str:
    values = ", ".join([f"({', '.join('?' * len(table.columns))})"] * rows)
    return f"INSERT INTO {table.name} ({table.listed}) VALUES {values}"


def _selection(table: Table, names: Sequence[str], keys: int) -> str:
    """One row a key, in the keys' order: SQLite takes them from the left side, one by one."""
    values = ", ".join([f"({', '.join('?' * len(table.key))})"] * keys)
    same = " AND ".join(f"{name} = column{i}" for i, name in enumerate(table.key, start=1))
    return f"SELECT {', '.join(names)} FROM (VALUES {values}) LEFT JOIN {table.name} ON {same}"


def _failure(path: Path, error: sqlite3.DatabaseError) -> StoreError:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreUnavailable(
                f"{path}: another process has kept the store locked for {PATIENCE:.0f} s; "
                "end it, or try again"
            )
        case sqlite3.SQLITE_FULL:
            return StoreUnavailable(
                f"{path}: the disk is full; nothing of the last batch was recorded; "
                "make room and start again"
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _damaged(path, error)
        case _:
            return StoreUnavailable(
                f"{path}: the store cannot be used ({error}); check the disk and the permissions"
            )


def _damaged(path: Path, why: object) -> StoreDamaged:
    return StoreDamaged(
        f"{path}: the store is damaged ({why}); restore it from a backup, "
        "or move it away and its -wal and -shm files with it to begin anew"
    )
