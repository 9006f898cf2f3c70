"""Databricks SQL, by its own client, whose cursor fetches Arrow."""

from __future__ import annotations

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

_DIALECT = Dialect(quote="`", backslash=True)
_BATCH = 100_000  # rows


class Databricks:
    """See `connectors.warehouses.warehouse.Warehouse`."""

    def __init__(self, _root: Path, settings: Settings, limits: Limits) -> None:
        seconds = max(1, limits.timeout // 1_000_000)
        token = option(settings, "token")
        self._secrets = Secrets(token)
        self._where = f"Databricks at {option(settings, 'host')}"
        self._arguments: dict[str, Any] = {
            "server_hostname": option(settings, "host"),
            "http_path": option(settings, "http_path"),
            "access_token": token,
            "catalog": option(settings, "catalog"),
            "schema": option(settings, "schema"),
            "session_configuration": {"TIMEZONE": "UTC", "STATEMENT_TIMEOUT": str(seconds)},
            "user_agent_entry": "usher",
        }
        self._connection: Any = None
        self._cursor: Any = None

    def test(self) -> str:
        with discreet(self._where, self._secrets):
            connection = self._connect()
            try:
                cursor = connection.cursor()
                cursor.execute("SELECT current_version().dbsql_version")
                return f"Databricks SQL {cursor.fetchone()[0]}"
            finally:
                connection.close()

    def read(self, source: ModelSource, *, rows: bool) -> Any:
        with discreet(self._where, self._secrets):
            statement = _DIALECT.select(source, rows=rows)
            self._connection = self._connect()
            self._cursor = self._connection.cursor()
            self._cursor.execute(statement)
            first = self._cursor.fetchmany_arrow(_BATCH)
            return pa.RecordBatchReader.from_batches(first.schema, self._batches(first))

    def explain(self, error: Exception) -> WarehouseError:
        return told(error, self._where, self._secrets)

    def cancel(self) -> None:
        if self._cursor is not None:
            with suppress(Exception):
                self._cursor.cancel()

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = self._cursor = None

    def _connect(self) -> Any:
        return client("databricks.sql", "databricks").connect(**self._arguments)

    def _batches(self, table: Any) -> Iterator[Any]:
        schema = table.schema
        while table.num_rows:
            yield from table.cast(schema).to_batches()
            table = self._cursor.fetchmany_arrow(_BATCH)
