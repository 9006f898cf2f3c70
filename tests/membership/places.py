"""Where a store lies, and what is opened there; everything opened is closed at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from membership.database import Database
from membership.postgres import PostgresDatabase
from membership.reader import MembershipReader
from membership.sqlite import SqliteDatabase
from membership.store import MembershipStore


class Opened(Protocol):
    def close(self) -> None: ...


@dataclass
class Place:
    opened: list[Opened] = field(default_factory=list, init=False)

    def database(self, *, writable: bool) -> Database:
        raise NotImplementedError

    def store(self) -> MembershipStore:
        store = MembershipStore(self.database(writable=True))
        self.opened.append(store)
        return store

    def owner(self, *groups: int) -> MembershipStore:
        """A store that has claimed key groups of users; group 0, if nothing else is said."""
        store = self.store()
        store.claim([("users", group) for group in groups or (0,)])
        return store

    def reader(self) -> MembershipReader:
        reader = MembershipReader(self.database(writable=False))
        self.opened.append(reader)
        return reader

    def close(self) -> None:
        for one in self.opened:
            one.close()


@dataclass
class SqlitePlace(Place):
    path: Path

    def database(self, *, writable: bool) -> Database:
        return SqliteDatabase(self.path, writable=writable)


@dataclass
class PostgresPlace(Place):
    url: str
    schema: str

    def database(self, *, writable: bool) -> Database:
        return PostgresDatabase(self.url, self.schema, writable=writable)
