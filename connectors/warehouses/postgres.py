"""PostgreSQL, by its Arrow client ADBC, in PostgreSQL's own binary protocol.

The columns are asked for first, since ADBC gives decimals as texts, of whatever scale, and knows
nothing of many other types.  What it does not know is read as text; decimals become Arrow's as
their batches go by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from typing_extensions import override

from audience_dsl.definitions import ModelSource, Settings
from connectors.libpq import encryption
from connectors.warehouses.errors import WarehouseError
from connectors.warehouses.limits import Limits
from connectors.warehouses.remote import Remote
from connectors.warehouses.statements import Dialect, source_name
from connectors.warehouses.warehouse import client, option

_DIALECT = Dialect()

# Types by their names in PostgreSQL's catalogue, that ADBC reads as they are.
_PLAIN = ("bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar")
_KNOWN = frozenset({*_PLAIN, *(f"_{one}" for one in _PLAIN), "bytea", "time"})
_MOMENTS = frozenset({"date", "timestamp", "timestamptz"})
_PRECISION_MOST = 38
_CONNECT_SECONDS = 15


class Column(NamedTuple):
    """A column as the server describes it; `decimal` are the digits and those after the point."""

    name: str
    type: str
    decimal: tuple[int, int] | None


class Postgres(Remote):
    """See `connectors.warehouses.remote.Remote`."""

    system = "PostgreSQL"
    extra = "postgres"
    default_port = 5432
    tls = "prefer"
    # How ADBC fetches rows: by COPY, which is faster, where the server has it.
    options: Mapping[str, str] = MappingProxyType({})

    def __init__(self, root: Path, settings: Settings, limits: Limits) -> None:
        password, ca = option(settings, "password"), option(settings, "ca")
        milliseconds = limits.timeout // 1000
        super().__init__(f"{self.system} at {option(settings, 'host')}", password)
        self._conninfo = client("psycopg.conninfo", self.extra).make_conninfo(
            host=str(option(settings, "host")),
            port=str(option(settings, "port", self.default_port)),
            dbname=str(option(settings, "database")),
            user=option(settings, "user"),
            password=password,
            **encryption(
                option(settings, "tls"), None if ca is None else root.resolve() / str(ca), self.tls
            ),
            connect_timeout=_CONNECT_SECONDS,
            application_name="usher",
            options=self.session(milliseconds),
        )

    def session(self, milliseconds: int) -> str:
        """The settings that the session begins with."""
        return (
            f"-c default_transaction_read_only=on -c statement_timeout={milliseconds} "
            "-c timezone=UTC"
        )

    def version(self) -> str:
        psycopg = client("psycopg", self.extra)
        with psycopg.connect(self._conninfo) as connection:
            connection.execute("SELECT 1")
            return f"{self.system} {connection.info.parameter_status('server_version')}"

    def select(self, source: ModelSource, *, rows: bool) -> Any:
        adbc = client("adbc_driver_postgresql.dbapi", self.extra)
        columns = self._describe(source)
        statement = self._statement(source, columns, rows=rows)
        self._connection = adbc.connect(self._conninfo, autocommit=True)
        self._cursor = self._connection.cursor(adbc_stmt_kwargs=dict(self.options))
        self._cursor.execute(statement)
        return _decimals(self._cursor.fetch_record_batch(), columns)

    def interrupt(self) -> None:
        self._cursor.adbc_cancel()

    @override
    def close(self) -> None:
        with suppress(Exception):  # before its connection, or that stays open
            self._cursor.close()
        super().close()

    def _describe(self, source: ModelSource) -> list[Column]:
        psycopg = client("psycopg", self.extra)
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            cursor = connection.execute(_DIALECT.select(source, rows=False).encode())
            types = connection.execute("SELECT oid, typname FROM pg_type").fetchall()
        names: dict[int, str] = dict(types)
        return [
            Column(one.name, names.get(one.type_code, ""), _digits(one.precision, one.scale))
            for one in cursor.description or ()
        ]

    def _statement(self, source: ModelSource, columns: Sequence[Column], *, rows: bool) -> str:
        if len({one.name for one in columns}) < len(columns):
            raise WarehouseError(
                f"{source_name(source, self.system)} has two columns of one name; name them apart"
            )
        listed = [f"{_selected(one)} AS {_DIALECT.name(one.name)}" for one in columns]
        return _DIALECT.select(source, ", ".join(listed), rows=rows)


def _digits(precision: int | None, scale: int | None) -> tuple[int, int] | None:
    if precision is None or scale is None or not 0 <= scale <= precision <= _PRECISION_MOST:
        return None
    return precision, scale


def _selected(column: Column) -> str:
    name = _DIALECT.name(column.name)
    if column.type in _KNOWN:
        return name
    if column.type in _MOMENTS:
        return f"CASE WHEN isfinite({name}) THEN {name} END"
    if column.type == "numeric" and column.decimal is None:
        # No Arrow type has room for all of them; infinity and what exceeds a float are missing.
        return f"CASE WHEN abs({name}) < 1e308 THEN {name}::float8 END"
    if column.type == "numeric":
        return f"CASE WHEN {name} <> 'NaN' THEN {name}::text END"
    if column.type == "_numeric":
        return f"{name}::float8[]"
    return f"{name}::text[]" if column.type.startswith("_") else f"{name}::text"


def _decimals(reader: Any, columns: Sequence[Column]) -> Any:
    """The same batches, with the texts of decimals read as such."""
    types = {
        number: pa.decimal128(*one.decimal)
        for number, one in enumerate(columns)
        if one.type == "numeric" and one.decimal is not None
    }
    if not types:
        return reader
    fields = enumerate(reader.schema)
    schema = pa.schema([pa.field(one.name, types.get(n, one.type)) for n, one in fields])

    def batches() -> Iterator[Any]:
        for batch in reader:
            arrays = [
                pc.cast(column, types[number]) if number in types else column
                for number, column in enumerate(batch.columns)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())
