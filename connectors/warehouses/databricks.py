"""Databricks SQL, by its own client, whose cursor fetches Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from audience_dsl.definitions import ModelSource, Settings
from connectors.warehouses.limits import Limits
from connectors.warehouses.remote import Remote
from connectors.warehouses.statements import Dialect
from connectors.warehouses.warehouse import client, option

_DIALECT = Dialect(quote="`", backslash=True)
_BATCH = 100_000  # rows


class Databricks(Remote):
    """See `connectors.warehouses.remote.Remote`."""

    def __init__(self, _root: Path, settings: Settings, limits: Limits) -> None:
        seconds = max(1, limits.timeout // 1_000_000)
        token = option(settings, "token")
        super().__init__(f"Databricks at {option(settings, 'host')}", token)
        self._arguments: dict[str, Any] = {
            "server_hostname": option(settings, "host"),
            "http_path": option(settings, "http_path"),
            "access_token": token,
            "catalog": option(settings, "catalog"),
            "schema": option(settings, "schema"),
            "session_configuration": {"TIMEZONE": "UTC", "STATEMENT_TIMEOUT": str(seconds)},
            "user_agent_entry": "usher",
        }

    def version(self) -> str:
        self._connect()
        self._cursor.execute("SELECT current_version().dbsql_version")
        return f"Databricks SQL {self._cursor.fetchone()[0]}"

    def select(self, source: ModelSource, *, rows: bool) -> Any:
        statement = _DIALECT.select(source, rows=rows)
        self._connect()
        self._cursor.execute(statement)
        first = self._cursor.fetchmany_arrow(_BATCH)
        return pa.RecordBatchReader.from_batches(first.schema, self._batches(first))

    def interrupt(self) -> None:
        self._cursor.cancel()

    def _connect(self) -> None:
        self._connection = client("databricks.sql", "databricks").connect(**self._arguments)
        self._cursor = self._connection.cursor()

    def _batches(self, table: Any) -> Iterator[Any]:
        schema = table.schema
        while table.num_rows:
            yield from table.cast(schema).to_batches()
            table = self._cursor.fetchmany_arrow(_BATCH)
