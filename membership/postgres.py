"""The store in a PostgreSQL schema: for jobs on more than one machine.

A batch travels as one array a column.  A connection that is lost is made anew by the next call;
what the lost one had not committed did not happen.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from membership.database import Dialect, Row, Table
from membership.errors import StoreError, StoreUnavailable

_DIALECT = Dialect(
    text='TEXT COLLATE "C"', position="BIGINT", clustered="", for_update=" FOR UPDATE"
)

# Seconds; a writer that has been stopped in the middle holds up the others no longer than this.
PATIENCE = 10

# How we connect, unless the URL says otherwise.  So the system notices in time that a server has
# gone without a word, after something was sent to it or while the answer is awaited (milliseconds,
# and seconds).
_USUAL: dict[str, Any] = {
    "application_name": "usher",
    "connect_timeout": PATIENCE,
    "tcp_user_timeout": PATIENCE * 1_000,
    "keepalives_idle": PATIENCE // 2,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}

# Seconds that a question may take.  Few need a hundredth of one; to count the members of a very
# large store takes longest.
_QUESTION = 60

# Any number will do, as long as all releases use it.
_STORE_LOCK = 0x75736865

# PostgreSQL's texts cannot hold U+0000, and those who send events may use it.
_ESCAPED = {"\0": "\1" + "0", "\1": "\1" + "1"}
_ORIGINAL = {escaped: original for original, escaped in _ESCAPED.items()}


class PostgresDatabase:
    """A connection to the server; a writing one makes the schema if there is none.

    Args:
        url: As libpq takes it: `postgresql://user:password@host/database`.  Never shown.
        schema: The schema that the tables lie in.

    Raises:
        StoreUnavailable: the server cannot be reached or refuses us.
    """

    dialect = _DIALECT

    def __init__(self, url: str, schema: str, *, writable: bool) -> None:
        self._url = url
        self._schema = schema
        self._writable = writable
        self._lock = threading.RLock()
        self._in_transaction = False
        self._connection = self._connect()
        if writable:
            with self.exclusive():
                make = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
                self._connection.execute(make)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._connected() as connection, connection.transaction():
            self._in_transaction = True
            try:
                yield
            finally:
                self._in_transaction = False

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self.transaction():
            self._connection.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_STORE_LOCK, self._schema)
            )
            yield

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._connected() as connection:
            found = connection.execute(_translated(sql), _values(parameters)).fetchall()
        return _rows(found)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        with self._connected() as connection:
            return connection.execute(_translated(sql), _values(parameters)).rowcount

    def look_up(self, table: Table, names: Sequence[str], keys: Sequence[Row]) -> list[Row | None]:
        if not keys:
            return []
        statement = (
            f"SELECT {', '.join(names)} FROM {_unnested(table, table.key)} "
            f"LEFT JOIN {table.name} USING ({', '.join(table.key)}) ORDER BY nth"
        )
        with self._connected() as connection:
            found = _rows(connection.execute(statement, _columns(keys)).fetchall())
        return [None if row[0] is None else row for row in found]

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        self._insert(table, rows, "")

    def upsert(self, table: Table, rows: Sequence[Row]) -> None:
        self._insert(
            table, rows, f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {table.updates}"
        )

    def has_table(self, name: str) -> bool:
        ((found,),) = self.query("SELECT to_regclass(?)", (f'"{self._schema}".{name}',))
        return found is not None

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _insert(self, table: Table, rows: Sequence[Row], conflict: str) -> None:
        if not rows:
            return
        source = _unnested(table, tuple(table.columns))
        names = table.listed
        statement = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {source} {conflict}"
        with self._connected() as connection:
            connection.execute(statement, _columns(rows))

    def _connect(self) -> psycopg.Connection[Row]:
        try:
            told = make_conninfo(**{**_USUAL, **conninfo_to_dict(self._url)})
            connection = psycopg.connect(told, autocommit=True)
        except psycopg.ProgrammingError as error:
            # The driver's own words would repeat the URL, and the password in it.
            raise StoreUnavailable(
                "the url under store is none that PostgreSQL understands; write it as "
                "postgresql://user:password@host:5432/database, with %40 for an @ in the password"
            ) from error
        except psycopg.Error as error:
            raise self._failure(error) from error
        try:
            self._arrange(connection)
        except psycopg.Error as error:
            connection.close()
            raise self._failure(error) from error
        return connection

    def _arrange(self, connection: psycopg.Connection[Row]) -> None:
        for name, value in (
            ("search_path", f'"{self._schema}"'),
            ("lock_timeout", f"{PATIENCE}s"),
            ("default_transaction_read_only", "off" if self._writable else "on"),
        ):
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        if not self._writable:
            connection.execute(_BOUND, (f"{_QUESTION}s",))

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Row]]:
        """The connection, with its errors told as the store's own."""
        with self._lock:
            if self._connection.closed and not self._in_transaction:
                self._connection = self._connect()
            try:
                yield self._connection
            except _NOT_THERE as error:
                raise self._failure(error) from error
            except (psycopg.ProgrammingError, psycopg.IntegrityError):  # a fault of ours
                raise
            except psycopg.Error as error:
                raise self._failure(error) from error

    def _failure(self, error: psycopg.Error) -> StoreError:
        where = f"store in PostgreSQL, schema {self._schema}"
        match error:
            case errors.LockNotAvailable():
                return StoreUnavailable(
                    f"{where}: another process has kept it locked for {PATIENCE} s; "
                    "end it, or try again"
                )
            case errors.DiskFull():
                return StoreUnavailable(
                    f"{where}: the server's disk is full; nothing of the last batch was recorded; "
                    "make room and start again"
                )
            case _:
                return StoreUnavailable(
                    f"{where}: {_sentence(error)}; check the server, and the url under store"
                )


# What a restore, or whoever tidies up, takes from us.
_NOT_THERE = (errors.UndefinedTable, errors.InvalidSchemaName, errors.InsufficientPrivilege)

# Not where the URL, the role or the server has a bound already.
_BOUND = """
    SELECT set_config(name, %s, false) FROM pg_settings
    WHERE name = 'statement_timeout' AND source = 'default'"""


def _sentence(error: psycopg.Error) -> str:
    """The first line of what the server or the driver says, which names no password."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@cache
def _translated(sql: str) -> str:
    return sql.replace("?", "%s")


@cache
def _unnested(table: Table, names: tuple[str, ...]) -> str:
    """Arrays, one a column, as a relation whose rows are numbered in their order."""
    arrays = ", ".join(f"%s::{table.columns[name]}[]" for name in names)
    return f"unnest({arrays}) WITH ORDINALITY AS given ({', '.join(names)}, nth)"


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    return [_values(column) for column in zip(*rows, strict=True)]


def _values(values: Sequence[object]) -> list[Any]:
    return [_escaped(one) if isinstance(one, str) else one for one in values]


def _rows(found: list[Row]) -> list[Row]:
    if not any("\1" in one for row in found for one in row if isinstance(one, str)):
        return found
    return [tuple(_original(one) if isinstance(one, str) else one for one in row) for row in found]


def _escaped(text: str) -> str:
    if "\0" not in text and "\1" not in text:
        return text
    return re.sub("[\0\1]", lambda found: _ESCAPED[found[0]], text)


def _original(text: str) -> str:
    return re.sub("\1[01]", lambda found: _ORIGINAL[found[0]], text)
