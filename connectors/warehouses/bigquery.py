"""BigQuery, by its own client: a query job whose result is fetched as Arrow.

BigQuery takes scripts of several statements.  So each statement is first tried without being run,
which costs nothing and tells the columns, and whether it is a SELECT.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from typing_extensions import override

from audience_dsl.definitions import ModelSource, Settings
from connectors.warehouses.errors import WarehouseError
from connectors.warehouses.limits import Limits
from connectors.warehouses.remote import Remote
from connectors.warehouses.statements import Dialect
from connectors.warehouses.warehouse import client, option

_DIALECT = Dialect(quote="`", backslash=True, hash=True)

_TYPES = {
    "STRING": pa.string(), "BYTES": pa.binary(), "BOOLEAN": pa.bool_(), "BOOL": pa.bool_(),
    "INTEGER": pa.int64(), "INT64": pa.int64(), "FLOAT": pa.float64(), "FLOAT64": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9), "DATE": pa.date32(), "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"), "TIMESTAMP": pa.timestamp("us", "UTC"),
}  # fmt: skip


class BigQuery(Remote):
    """See `connectors.warehouses.remote.Remote`."""

    def __init__(self, root: Path, settings: Settings, limits: Limits) -> None:
        # A key file is a secret, but is only ever named by its path.
        super().__init__(f"BigQuery project {option(settings, 'project')}")
        self._settings = settings
        self._seconds = limits.timeout / 1e6
        key = option(settings, "credentials")
        self._key = None if key is None else root.resolve() / str(key)

    def version(self) -> str:
        self._try("SELECT 1 AS one")
        return "BigQuery"

    def select(self, source: ModelSource, *, rows: bool) -> Any:
        statement = _DIALECT.select(source, _columns(self._try(_DIALECT.select(source))))
        schema = _schema(self._try(statement))
        if not rows:
            return pa.RecordBatchReader.from_batches(schema, [])
        self._cursor = self._connected().query(statement, job_config=self._config())
        result = self._cursor.result(timeout=self._seconds)
        batches = result.to_arrow_iterable(bqstorage_client=self._storage())
        return pa.RecordBatchReader.from_batches(schema, _typed(batches, schema))

    def interrupt(self) -> None:
        self._cursor.cancel()

    @override
    def is_of_rows(self, error: Exception) -> bool:
        """Its errors have no states; a statement that was tried fails by what it reads."""
        return self._cursor is not None

    def _connected(self) -> Any:
        if self._connection is None:
            bigquery = client("google.cloud.bigquery", "bigquery")
            given: dict[str, Any] = {
                "project": option(self._settings, "project"),
                "location": option(self._settings, "location"),
            }
            endpoint = option(self._settings, "endpoint")
            if endpoint is not None:  # an emulator, which asks for nobody's credentials
                anonymous = client("google.auth.credentials", "bigquery").AnonymousCredentials()
                given |= {"client_options": {"api_endpoint": endpoint}, "credentials": anonymous}
            if self._key is None:
                self._connection = bigquery.Client(**given)
            else:
                self._connection = bigquery.Client.from_service_account_json(
                    str(self._key), **given
                )
        return self._connection

    def _storage(self) -> Any:
        """The interface for large results, which an emulator has not."""
        if option(self._settings, "endpoint") is not None:
            return None
        storage = client("google.cloud.bigquery_storage", "bigquery")
        if self._key is None:
            return storage.BigQueryReadClient()
        return storage.BigQueryReadClient.from_service_account_file(str(self._key))

    def _config(self, **more: Any) -> Any:
        bigquery = client("google.cloud.bigquery", "bigquery")
        dataset = option(self._settings, "dataset")
        if dataset is not None:
            more["default_dataset"] = f"{option(self._settings, 'project')}.{dataset}"
        return bigquery.QueryJobConfig(job_timeout_ms=int(self._seconds * 1000), **more)

    def _try(self, statement: str) -> Any:
        """The statement's columns, without running it."""
        job = self._connected().query(statement, job_config=self._config(dry_run=True))
        if job.statement_type != "SELECT":
            raise WarehouseError(
                f"the query is {job.statement_type}, not one SELECT statement; it reads only"
            )
        return job.schema


def _columns(fields: Any) -> str:
    """What is listed after SELECT: the types that Arrow's readers here do not know, as others."""
    listed = []
    for one in fields:
        name = _DIALECT.name(one.name)
        if one.mode == "REPEATED" or one.field_type in _TYPES:
            listed.append(name)
        elif one.field_type == "BIGNUMERIC":
            listed.append(f"CAST({name} AS FLOAT64) AS {name}")
        else:
            listed.append(f"TO_JSON_STRING({name}) AS {name}")
    return ", ".join(listed)


def _schema(fields: Any) -> Any:
    columns = []
    for one in fields:
        kind = _TYPES.get(one.field_type, pa.string())
        columns.append(pa.field(one.name, pa.list_(kind) if one.mode == "REPEATED" else kind))
    return pa.schema(columns)


def _typed(batches: Iterator[Any], schema: Any) -> Iterator[Any]:
    for batch in batches:
        columns = [
            column if column.type == field.type else column.cast(field.type)
            for column, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
