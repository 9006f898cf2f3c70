"""Stories whose warehouse is a PostgreSQL server: customers, and orders as related rows.

`usher pull` is a process of its own, beside the running job.  Events go on happening meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from typing_extensions import override

from tests.faults.journal import asked
from tests.faults.processes import started
from tests.faults.pulled import Contents, PulledStory
from tests.faults.story import DEFINITION, definition_of
from tests.membership.servers import PostgresServer

# No pull happens by itself.
NEVER = "0 0 29 2 *"
_ORDERS = 300

_TABLES = """
DROP TABLE IF EXISTS customers;
CREATE TABLE customers (user_id text, ltv int);
DROP TABLE IF EXISTS orders;
CREATE TABLE orders (order_id int, user_id text, status text, total numeric(10, 2));
"""
_AUDIENCES: dict[str, Any] = {
    "vip": {"property": "ltv", "at_least": 100},
    "buyers": {"related": "orders", "where": {"status": "paid"}, "at_least": 2},
    "big": {"related": "orders", "sum": "total", "greater_than": 150},
    "keen": {
        "all": [
            {"performed": "page_viewed", "at_least": 2, "within": "24h"},
            {"related": "orders", "at_least": 1},
        ]
    },
    "lost": {
        "all": [
            {"did_not_perform": "page_viewed", "within": "1s"},
            {"related": "orders", "where": {"status": "open"}, "none": True},
        ]
    },
}


class Ended(NamedTuple):
    """How `usher pull` ended: its code, the version if there is one, and what it said."""

    code: int
    version: str | None
    said: str


class ShopStory(PulledStory):
    """A story over a server's tables, which this makes.

    Args:
        root: The project's folder, which is made.
        seed: What everything is drawn from.
        server: An empty one.
        pull: When users are pulled.
        options: More settings of the warehouse.
    """

    def __init__(
        self,
        root: Path,
        seed: int,
        server: PostgresServer,
        *,
        pull: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        definition = definition_of(
            audiences={
                **DEFINITION["audiences"],
                **{key: {"parent_model": "users", "where": one} for key, one in _AUDIENCES.items()},
            },
            syncs=DEFINITION["syncs"],
            warehouse={
                "type": "postgres", "host": server.host, "database": "postgres", "user": "usher",
                **(options or {}),
            },
            parent_models={
                "users": {
                    "from": {"table": "customers"},
                    "primary_key": "user_id",
                    "properties": {"ltv": "number"},
                    "pull": pull or {"cron": NEVER},
                }
            },
            related_models={
                "orders": {
                    "from": {"table": "orders"},
                    "parent_model": "users",
                    "foreign_key": "user_id",
                    "primary_key": "order_id",
                    "properties": {"status": "string", "total": "number"},
                }
            },
        )  # fmt: skip
        super().__init__(root, seed, definition)
        self.server = server
        self._orders: dict[int, dict[str, Any]] = {}
        self._change_orders(_ORDERS)
        self.fill()
        self.first = self.contents()

    def contents(self) -> Contents:
        return Contents(dict(self._rows), {"orders": list(self._orders.values())})

    @override
    def change(self) -> None:
        super().change()
        self._change_orders(60)
        self.fill()

    def _change_orders(self, count: int) -> None:
        for number in self.random.sample(range(_ORDERS), count):
            self._orders.pop(number, None)
            if self.random.random() < 0.8:
                self._orders[number] = {
                    "order_id": number,
                    "user_id": f"u{self.random.randrange(220)}",
                    "status": self.random.choice(["paid", "paid", "open", None]),
                    "total": self.random.randrange(800) / 4,
                }

    def fill(self) -> None:
        """Let the tables have what they should, whatever was done to them."""
        with psycopg.connect(self.server.url) as connection, connection.cursor() as cursor:
            cursor.execute(_TABLES)
            with cursor.copy("COPY customers FROM STDIN") as rows:
                for user, row in self._rows.items():
                    rows.write_row((user, row["ltv"]))
            with cursor.copy("COPY orders FROM STDIN") as rows:
                for order in self._orders.values():
                    rows.write_row(tuple(order.values()))

    def schedule(self, pull: dict[str, Any]) -> None:
        """Have users pulled at other times."""
        file = self.root / "usher.yml"
        definition = json.loads(file.read_text())
        definition["parent_models"]["users"]["pull"] = pull
        file.write_text(json.dumps(definition))

    def damage(self, statement: str) -> None:
        with psycopg.connect(self.server.url) as connection:
            connection.execute(statement.encode())

    def pull_by_hand(self) -> Ended:
        """`usher pull`, while events happen."""
        with self.pulling() as one:
            return one.end()

    @contextmanager
    def pulling(self) -> Iterator[Pulling]:
        one = Pulling(self)
        try:
            yield one
        finally:
            one.kill()

    def pulls(self) -> list[dict[str, Any]]:
        """What `usher pulls` says, the oldest first."""
        return asked(self.root, "pulls", "users")[::-1]

    def in_force(self) -> str:
        """The version that the pointer names."""
        return (self.root / ".usher" / "snapshots" / "users" / "current").read_text().strip()


class Pulling:
    """`usher pull` that is under way."""

    def __init__(self, story: ShopStory) -> None:
        self._story = story
        number = len(list(story.root.parent.glob("*.facts")))
        self._out = story.root.parent / f"{number}.facts"
        self._err = self._out.with_suffix(".said")
        for file in (self._out, self._err):
            file.touch()
        self._process = started("pull", story.root, out=self._out, err=self._err)

    def interrupt(self, table: str, *, restart: bool) -> None:
        """Break its connection while it waits for a table.

        By ending its session, or by crashing the server and starting it again.
        """
        server = self._story.server
        with suppress(psycopg.Error), psycopg.connect(server.url) as holding:
            holding.execute(f"LOCK TABLE {table}".encode())
            with psycopg.connect(server.url, autocommit=True) as other:
                while not self._is_begun():
                    _end_sessions(other)  # the definitions are compared with the columns first
                    self._story.go_on(0.05)
                while not _waiting(other):
                    self._story.go_on(0.05)
                    assert self._process.poll() is None, self._err.read_text()
                if restart:
                    server.stop()
                    server.start()
                while not restart and self._process.poll() is None:
                    _end_sessions(other)  # what waited may have been the columns' session still
                    self._story.go_on(0.05)
                self.end()

    def _is_begun(self) -> bool:
        assert self._process.poll() is None, self._err.read_text()
        return self._story.pulls()[-1]["status"] == "running"

    def end(self) -> Ended:
        while self._process.poll() is None:
            self._story.go_on(0.05)
        code = self._process.wait()
        lines = self._out.read_text().splitlines()
        version = json.loads(lines[0])["version"] if lines else None
        return Ended(code, version, self._err.read_text())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


_WAITS = "application_name = 'usher' AND wait_event_type = 'Lock'"


def _waiting(connection: psycopg.Connection[Any]) -> bool:
    found = connection.execute(f"SELECT pid FROM pg_stat_activity WHERE {_WAITS}".encode())
    return bool(found.fetchall())


def _end_sessions(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_WAITS}".encode()
    )
