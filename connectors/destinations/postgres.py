"""The destination postgres: a table that mirrors an audience's members.

A user has one row, with the sequence of the transition that it shows.  A transition that is older
than what the row shows changes nothing, so repeats and late ones do no harm, and each request is
one transaction.  With `exits: delete` only members have rows; what they must not be contradicted
by, once they have left, stands in a second table beside.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from audience_dsl.connections import FILE, PORT, POSTGRES_TLS, secret
from audience_dsl.definitions import Settings
from audience_dsl.shapes import Choice, Field, Record, Text
from connectors.destinations.blocking import Blocking, Item, said
from connectors.destinations.destination import ACCEPTED, Capacity, Outcome, Verdict
from connectors.destinations.mirror import (
    CREATE,
    CREATE_LEFT,
    DELETE,
    LEAVE,
    LOCK,
    NOT_LEFT,
    RETURN,
    UPSERT,
    Row,
    rows_of,
)
from connectors.destinations.place import Place
from connectors.libpq import encryption

if TYPE_CHECKING:  # the client is imported when it is needed
    import psycopg

OPTIONS = Record(
    "postgres",
    "A table of PostgreSQL that mirrors membership. It is made where it is missing.",
    (
        Field("host", Text(), "The server.", required=True),
        Field("port", PORT, "Its port.", default="5432"),
        Field("database", Text(), "The database.", required=True),
        Field("user", Text(), "Who writes."),
        Field("password", secret(), "As `${NAME}`."),
        Field(
            "tls",
            POSTGRES_TLS,
            "Whether the connection is encrypted.",
            default="`prefer`, and `verify-full` with `ca`",
        ),
        Field("ca", FILE, "The certificates that are trusted.", default="the system's"),
        Field(
            "table",
            Text(
                "a table such as members or crm.members",
                r"[A-Za-z_][A-Za-z0-9_]{0,56}(\.[A-Za-z_][A-Za-z0-9_]{0,56})?",
            ),
            "The table, in capitals and small letters as it is written.",
            required=True,
        ),
        Field(
            "exits",
            Choice(
                {
                    "mark": "whoever leaves keeps a row, with `member` false and `exited_at`",
                    "delete": "only members have rows; TABLE_exits remembers who has left",
                }
            ),
            "What becomes of the row of a user who leaves.",
            default="`mark`",
        ),
    ),
)

_CONNECT_SECONDS = 10
_SILENCE_MILLISECONDS = 30_000


class Postgres(Blocking):
    """Writes to one table."""

    capacity = Capacity(messages=1000, requests=1)

    def __init__(self, settings: Settings, place: Place) -> None:
        options = settings.options
        table = str(options["table"])
        super().__init__(settings, f"table {table}", [options.get("password")])
        self._options = options
        self._root = place.root
        self._table = table
        self._deletes = options.get("exits") == "delete"
        self._connection: psycopg.Connection[Any] | None = None

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        try:
            self._write(rows_of(items))
        except Exception as error:
            self._recover(error)
            if len(items) == 1 or self.explain(error).verdict is not Verdict.REJECTED:
                raise
            return self._one_by_one(items)
        return [ACCEPTED] * len(items)

    @override
    def explain(self, error: Exception) -> Outcome:
        return Outcome(_verdict(error), f"PostgreSQL, table {self._table}: {said(error)}")

    @override
    def probe(self) -> None:
        try:
            connection = self._connected()
            with _cut_off(connection):
                connection.execute("SELECT 1")
                connection.rollback()
        except Exception as error:
            self._recover(error)
            raise

    @override
    def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _write(self, rows: Sequence[Row]) -> None:
        connection = self._connected()
        with _cut_off(connection):
            self._change(connection, rows)
            connection.commit()

    def _change(self, connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
        if not self._deletes:
            self._execute(connection, UPSERT.format(table="{table}", where=""), rows)
        else:
            connection.execute(self._named(LOCK))
            where = NOT_LEFT.format(left="{left}")
            entries = [one for one in rows if one[3]]
            exits = [one for one in rows if not one[3]]
            self._execute(connection, LEAVE, exits)
            self._execute(connection, DELETE, exits)
            self._execute(connection, UPSERT.format(table="{table}", where=where), entries)
            self._execute(connection, RETURN, entries)

    def _one_by_one(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """One of them cannot be stored, and the others can: what follows a failure waits for it."""
        outcomes: list[Outcome] = []
        for item in items:
            if outcomes and outcomes[-1].verdict not in {Verdict.ACCEPTED, Verdict.REJECTED}:
                outcomes.append(outcomes[-1])
                continue
            try:
                outcomes.extend(self.deliver([item]))
            except Exception as error:  # noqa: BLE001  `explain` knows them
                outcomes.append(self.explain(error))
        return outcomes

    def _execute(
        self, connection: psycopg.Connection[Any], statement: str, rows: Sequence[Row]
    ) -> None:
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            connection.execute(self._named(statement), columns)

    def _connected(self) -> psycopg.Connection[Any]:
        """The connection, in which the tables are there."""
        if self._connection is None:
            import psycopg

            connection = psycopg.connect(self._conninfo())
            try:
                with _cut_off(connection):
                    self._make_tables(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _make_tables(self, connection: psycopg.Connection[Any]) -> None:
        from psycopg import errors

        # By another sync: what PostgreSQL finds depends on how far that has come.
        made_meanwhile = errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject
        for name, statement in ((self._table, CREATE), (f"{self._table}_exits", CREATE_LEFT)):
            if name != self._table and not self._deletes:
                continue
            # Who may not create tables may use one that is there.
            quoted = ".".join(f'"{one}"' for one in name.split("."))
            found = connection.execute("SELECT to_regclass(%s)", [quoted]).fetchone()
            if found is None or found[0] is None:
                with suppress(*made_meanwhile), connection.transaction():
                    connection.execute(self._named(statement))
        connection.commit()

    def _named(self, statement: str) -> Any:
        from psycopg import sql

        table, left = self._table.split("."), f"{self._table}_exits".split(".")
        named = {"table": sql.Identifier(*table), "left": sql.Identifier(*left)}
        return sql.SQL(statement).format(**named)

    def _conninfo(self) -> str:
        from psycopg.conninfo import make_conninfo

        options = self._options
        ca = options.get("ca")
        return make_conninfo(
            host=str(options["host"]),
            port=str(options.get("port") or 5432),
            dbname=str(options["database"]),
            user=_text(options.get("user")),
            password=_text(options.get("password")),
            **encryption(
                options.get("tls"), None if ca is None else self._root.resolve() / str(ca)
            ),
            connect_timeout=_CONNECT_SECONDS,
            tcp_user_timeout=_SILENCE_MILLISECONDS,
            application_name="usher",
            options=f"-c timezone=UTC -c statement_timeout={_SILENCE_MILLISECONDS}",
        )

    def _recover(self, error: Exception) -> None:
        """After an error: the connection is kept where it was about the data alone.

        After any other a new one may lead elsewhere: to the primary, if this server has become a
        replica, which goes on answering that it cannot write.
        """
        connection = self._connection
        if connection is None:
            return
        with suppress(Exception):
            connection.rollback()
        is_usable = not (connection.closed or connection.broken)
        if not is_usable or _verdict(error) is not Verdict.REJECTED:
            self.disconnect()


@contextmanager
def _cut_off(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """End a connection that stays silent; the client would wait for it without end."""

    def cut() -> None:
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
            own.shutdown(socket.SHUT_RDWR)

    timer = Timer(_SILENCE_MILLISECONDS / 1000 + 1, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _text(option: object) -> str | None:
    return None if option is None else str(option)


def _verdict(error: Exception) -> Verdict:
    import psycopg

    state = getattr(error, "sqlstate", None)
    if state is None:
        if isinstance(error, psycopg.OperationalError):
            return _connecting(str(error))
        return Verdict.REJECTED if isinstance(error, psycopg.DataError) else Verdict.RETRY
    if state[:2] in {"22", "23"}:  # data, and constraints that somebody has added
        return Verdict.REJECTED
    # No right, no such database, schema, column: only people can mend it.
    if state[:2] in {"28", "3D", "3F", "42"}:
        return Verdict.REFUSED
    return Verdict.RETRY


def _connecting(text: str) -> Verdict:
    """What libpq says of a connection that was not made has no code of its own."""
    hopeless = ("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf")
    return Verdict.REFUSED if any(one in text for one in hopeless) else Verdict.RETRY
