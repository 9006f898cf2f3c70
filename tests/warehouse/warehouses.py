"""The warehouses that the contract is tested against, each with its own words for the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg
import pymysql

from audience_dsl.definitions import ModelSource, Settings
from tests.membership.servers import PostgresServer
from tests.warehouse.mariadb import PASSWORD, USER
from tests.warehouse.proxies import cutting_proxy

HORSE = "žluťoučký 🐎 'q' \"d\" \\ %s"

# Column by column: its type in each dialect, and the value of the one row that has some.
TYPES: dict[str, dict[str, str]] = {
    "duckdb": {
        "name": "VARCHAR", "money": "DECIMAL(12, 2)", "big": "BIGINT", "huge": "DECIMAL(30, 0)",
        "fraction": "DOUBLE", "small": "INTEGER", "flag": "BOOLEAN", "day": "DATE",
        "moment": "TIMESTAMP", "zoned": "TIMESTAMPTZ", "tags": "VARCHAR[]", "doc": "JSON",
    },
    "postgres": {
        "name": "text", "money": "numeric(12, 2)", "big": "bigint", "huge": "numeric(30, 0)",
        "fraction": "double precision", "small": "int", "flag": "boolean", "day": "date",
        "moment": "timestamp", "zoned": "timestamptz", "tags": "text[]", "doc": "jsonb",
    },
    "mysql": {
        "name": "VARCHAR(200)", "money": "DECIMAL(12, 2)", "big": "BIGINT",
        "huge": "DECIMAL(30, 0)", "fraction": "DOUBLE", "small": "INT", "flag": "BOOLEAN",
        "day": "DATE", "moment": "DATETIME(6)", "zoned": "TIMESTAMP(6) NULL", "tags": "JSON",
        "doc": "JSON",
    },
}  # fmt: skip
VALUES = {
    "money": "12.50", "big": "9007199254740993", "huge": "123456789012345678901234567890",
    "fraction": "0.1", "small": "-7", "flag": "true", "day": "'2026-03-01'",
    "moment": "'2026-03-01 10:00:00.000001'", "doc": """'{"a": [1, null]}'""",
}  # fmt: skip


class Place(Protocol):
    """A warehouse that tests may write to."""

    dialect: str
    root: Path
    settings: Settings | None
    takes_queries: bool

    def run(self, *statements: str) -> None: ...

    def source(self, table: str) -> ModelSource: ...

    def breaking(self, after: int, *, hangs: bool = False) -> Any: ...


def create_types(place: Place, table: str) -> None:
    """One row with a value in each column, and one with none but its key."""
    types = TYPES[place.dialect]
    zoned = "'2026-03-01 08:00:00'" if place.dialect == "mysql" else "'2026-03-01 10:00:00+02'"
    tags = {"duckdb": "['ä', NULL, 'b']", "postgres": """'{"ä",NULL,"b"}'"""}
    name = HORSE.replace("'", "''")
    values = {
        **VALUES,
        "name": f"'{name.replace(chr(92), chr(92) * 2) if place.dialect == 'mysql' else name}'",
        "zoned": zoned,
        "tags": tags.get(place.dialect, """'["ä", null, "b"]'"""),
    }
    columns = ", ".join(f"{one} {type_}" for one, type_ in types.items())
    listed = ", ".join(values[one] for one in types)
    place.run(
        f"CREATE TABLE {table} (user_id {types['name']}, {columns})",
        f"INSERT INTO {table} VALUES ('ü', {listed})",
        f"INSERT INTO {table} (user_id) VALUES ('nobody')",
    )


class DuckDBPlace:
    dialect = "duckdb"
    takes_queries = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings: Settings | None = Settings("warehouse", "duckdb", {"path": "w.duckdb"})
        self.run()

    def run(self, *statements: str) -> None:
        with duckdb.connect(str(self.root / "w.duckdb")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for statement in statements:
                connection.execute(statement)

    def source(self, table: str) -> ModelSource:
        return ModelSource(table=table)

    @contextmanager
    def breaking(
        self, after: int, *, hangs: bool = False
    ) -> Iterator[tuple[Settings | None, ModelSource]]:
        query = "SELECT *, CASE WHEN i = 900000 THEN error('lost the thread') END AS x FROM million"
        yield self.settings, ModelSource(query=query)


class FilesPlace(DuckDBPlace):
    """The same tables, exported."""

    takes_queries = False

    def __init__(self, root: Path, kind: str) -> None:
        super().__init__(root)
        self.settings = None
        self._kind = kind

    def source(self, table: str) -> ModelSource:
        file = f"{table}.{self._kind}"
        lists = "* REPLACE (to_json(tags) AS tags)" if table == "typed" else "*"
        chosen = lists if self._kind == "csv" else "*"
        self.run(
            f"COPY (SELECT {chosen} FROM {table}) TO '{self.root / file}' (FORMAT {self._kind})"
        )
        return ModelSource(**{self._kind: file})  # type: ignore[arg-type]

    @contextmanager
    def breaking(
        self, after: int, *, hangs: bool = False
    ) -> Iterator[tuple[Settings | None, ModelSource]]:
        whole = self.root / str(getattr(self.source("million"), self._kind))
        broken = self.root / f"broken.{self._kind}"
        broken.write_bytes(whole.read_bytes()[:-after] + b'"\n"{[')
        yield self.settings, ModelSource(**{self._kind: broken.name})  # type: ignore[arg-type]


class PostgresPlace:
    dialect = "postgres"
    takes_queries = True

    def __init__(self, root: Path, server: PostgresServer, database: str, type_: str) -> None:
        self.root = root
        self._host, self._url = server.host, server.create_database(database)
        options = {"host": server.host, "port": 5432, "database": database, "user": "usher"}
        secret = {"password": PASSWORD, "tls": "prefer"}
        self.settings: Settings | None = Settings("warehouse", type_, {**options, **secret})

    def run(self, *statements: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def source(self, table: str) -> ModelSource:
        return ModelSource(table=f"public.{table}")

    @contextmanager
    def breaking(
        self, after: int, *, hangs: bool = False
    ) -> Iterator[tuple[Settings | None, ModelSource]]:
        assert self.settings is not None
        with cutting_proxy(f"{self._host}/.s.PGSQL.5432", after, hangs=hangs) as port:
            options = {"host": "127.0.0.1", "port": port}
            broken = Settings("w", self.settings.type, {**self.settings.options, **options})
            yield broken, self.source("million")


class MySQLPlace:
    dialect = "mysql"
    takes_queries = True

    def __init__(self, root: Path, port: int, database: str) -> None:
        self.root = root
        self._port = port
        self.settings: Settings | None = self._settings(port)
        self._database = database
        self.run(*(f"DROP TABLE IF EXISTS {one}" for one in ("typed", "changing", "million")))

    def _settings(self, port: int) -> Settings:
        options = {"host": "127.0.0.1", "port": port, "database": "shop", "user": USER}
        return Settings("warehouse", "mysql", {**options, "password": PASSWORD, "tls": "disable"})

    def run(self, *statements: str) -> None:
        connection = pymysql.connect(
            host="127.0.0.1", port=self._port, user=USER, password=PASSWORD.encode(),
            database="shop", autocommit=True,
        )  # fmt: skip
        with connection, connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
            for statement in statements:
                cursor.execute(statement)

    def source(self, table: str) -> ModelSource:
        return ModelSource(table=table)

    @contextmanager
    def breaking(
        self, after: int, *, hangs: bool = False
    ) -> Iterator[tuple[Settings | None, ModelSource]]:
        with cutting_proxy(("127.0.0.1", self._port), after, hangs=hangs) as port:
            yield self._settings(port), self.source("million")


MILLION = {
    "duckdb": "SELECT 'u' || i AS user_id, i, CAST(i * 0.5 AS DECIMAL(12, 2)) AS d "
    "FROM range(1000000) t(i)",
    "postgres": "SELECT 'u' || i AS user_id, i, (i * 0.5)::numeric(12, 2) AS d "
    "FROM generate_series(0, 999999) i",
    "mysql": "SELECT concat('u', seq) AS user_id, seq AS i, CAST(seq * 0.5 AS DECIMAL(12, 2)) AS d "
    "FROM seq_0_to_999999",
}
FOREVER = {
    "duckdb": "SELECT count(*) AS user_id FROM range(10000000) a, range(10000000) b "
    "WHERE a.range + b.range = 7",
    "postgres": "SELECT pg_sleep(600)::text AS user_id",
    "mysql": "SELECT count(*) AS user_id FROM seq_1_to_100000000 a, seq_1_to_100000000 b "
    "WHERE a.seq + b.seq = 7",
}
