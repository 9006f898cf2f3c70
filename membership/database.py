"""What the store asks of a database: few verbs, whole batches, the same for SQLite and PostgreSQL.

All SQL of the store is written once, with `?` for values and in what the two dialects share.  They
differ in how a batch is handed over, in the words of `Dialect`, and in their errors, which a
database turns into those of `membership.errors`.

Rows of one table that are looked up, inserted or upserted are tuples in the order of its columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table that takes batches: its columns with their types, and which of them are the key."""

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]

    @property
    def listed(self) -> str:
        return ", ".join(self.columns)

    @property
    def updates(self) -> str:
        """What an upsert sets where the row is there already."""
        return ", ".join(
            f"{name} = excluded.{name}" for name in self.columns if name not in self.key
        )


@dataclass(frozen=True, slots=True)
class Dialect:
    text: str  # the type of texts that compare by code point
    position: str  # the type of the journal's key, which only ever grows
    clustered: str  # said of a table that is best kept in the order of its key
    for_update: str  # ends a SELECT whose rows stay locked until the transaction ends


class Database(Protocol):
    """One connection; its methods may be called from any thread, one transaction at a time.

    Every method raises a `StoreError`: `StoreUnavailable` where a later attempt may succeed,
    `StoreDamaged` where none will.  A failed transaction has changed nothing.
    """

    dialect: Dialect

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, durable at its end; not to be nested."""

    def exclusive(self) -> AbstractContextManager[None]:
        """A transaction beside which no other `exclusive` one runs on the store."""

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows that a statement returns, of one consistent view."""

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """How many rows a statement changed."""

    def look_up(self, table: Table, names: Sequence[str], keys: Sequence[Row]) -> list[Row | None]:
        """Those columns of the rows that have the keys, in their order; `None` for who has none.

        None of the columns may be null.
        """

    def insert(self, table: Table, rows: Sequence[Row]) -> None: ...

    def upsert(self, table: Table, rows: Sequence[Row]) -> None: ...

    def has_table(self, name: str) -> bool: ...

    def close(self) -> None: ...


@contextmanager
def handed_over(database: Database) -> Iterator[None]:
    """Who is given a connection closes it, also when it turns out to be of no use."""
    try:
        yield
    except BaseException:
        database.close()
        raise
