"""Snowflake, by its own client, which fetches results as Arrow.

The integers of a column may come in another width with every chunk, so all chunks are brought to
the types that the result's description gives.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from audience_dsl.definitions import ModelSource, Settings
from connectors.discretion import Secrets
from connectors.warehouses.errors import WarehouseError, discreet, told
from connectors.warehouses.limits import Limits
from connectors.warehouses.statements import Dialect
from connectors.warehouses.warehouse import client, option

# Snowflake keeps names without quotes in capitals, and finds them in any case.
_DIALECT = Dialect(folds=True, backslash=True)
_LOGIN_SECONDS = 30

_FIXED, _REAL, _DATE, _BINARY, _TIME, _BOOLEAN = 0, 1, 3, 11, 12, 13
_WITH_ZONE, _WITHOUT_ZONE = frozenset({6, 7}), frozenset({4, 8})


class Snowflake:
    """See `connectors.warehouses.warehouse.Warehouse`."""

    def __init__(self, root: Path, settings: Settings, limits: Limits) -> None:
        secrets = [option(settings, name) for name in ("password", "token", "private_key_password")]
        self._secrets = Secrets(*secrets)
        self._where = f"Snowflake account {option(settings, 'account')}"
        key = option(settings, "private_key")
        given = {
            name: option(settings, name)
            for name in (
                "account", "user", "password", "token", "authenticator", "warehouse", "database",
                "schema", "role", "host", "port", "protocol",
            )
        }  # fmt: skip
        given["private_key_file"] = None if key is None else str(root.resolve() / str(key))
        given["private_key_file_pwd"] = option(settings, "private_key_password")
        self._arguments: dict[str, Any] = {
            **{name: value for name, value in given.items() if value is not None},
            "login_timeout": _LOGIN_SECONDS,
            "query_timeout": limits.timeout // 1_000_000 + 1,
            "arrow_number_to_decimal": True,
            "application": "usher",
            "enable_server_session_keep_alive_auto_detection": False,
            "session_parameters": {
                "TIMEZONE": "UTC",
                "STATEMENT_TIMEOUT_IN_SECONDS": max(1, limits.timeout // 1_000_000),
                "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "arrow",
            },
        }
        self._connection: Any = None
        self._cursor: Any = None

    def test(self) -> str:
        with discreet(self._where, self._secrets):
            connection = self._connect()
            try:
                row = connection.cursor().execute("SELECT CURRENT_VERSION()").fetchone()
                return f"Snowflake {row[0]}"
            finally:
                connection.close()

    def read(self, source: ModelSource, *, rows: bool) -> Any:
        with discreet(self._where, self._secrets):
            statement = _DIALECT.select(source, rows=rows)
            self._connection = self._connect()
            self._cursor = self._connection.cursor()
            self._cursor.execute(statement)
            schema = pa.schema([pa.field(one.name, _type(one)) for one in self._cursor.description])
            tables = self._cursor.fetch_arrow_batches(force_microsecond_precision=True)
            return pa.RecordBatchReader.from_batches(schema, _batches(tables, schema))

    def explain(self, error: Exception) -> WarehouseError:
        return told(error, self._where, self._secrets)

    def cancel(self) -> None:
        if self._cursor is not None:
            with suppress(Exception):
                self._cursor.abort_query(self._cursor.sfqid)

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = self._cursor = None

    def _connect(self) -> Any:
        return client("snowflake.connector", "snowflake").connect(**self._arguments)


def _type(described: Any) -> Any:
    match described.type_code:
        case code if code == _FIXED and not described.scale and (described.precision or 0) <= 18:
            return pa.int64()
        case code if code == _FIXED:
            return pa.decimal128(described.precision, described.scale)
        case code if code == _REAL:
            return pa.float64()
        case code if code == _DATE:
            return pa.date32()
        case code if code == _BOOLEAN:
            return pa.bool_()
        case code if code == _TIME:
            return pa.time64("us")
        case code if code == _BINARY:
            return pa.binary()
        case code if code in _WITH_ZONE:
            return pa.timestamp("us", "UTC")
        case code if code in _WITHOUT_ZONE:
            return pa.timestamp("us")
    return pa.string()  # VARIANT, OBJECT and ARRAY come as the text of their JSON


def _batches(tables: Iterator[Any], schema: Any) -> Iterator[Any]:
    chunks = (table.to_batches() for table in tables)
    for batch in itertools.chain.from_iterable(chunks):
        columns = [
            column.cast(field.type, safe=False)
            for column, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
