"""MySQL and MariaDB, by PyMySQL, which has no Arrow: its texts become columns here.

The server sends every value as text.  Without a Python object for each value, but for the text
itself, Arrow reads whole columns of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from audience_dsl.definitions import ModelSource, Settings
from connectors.discretion import Secrets
from connectors.warehouses.errors import WarehouseError, discreet, told
from connectors.warehouses.limits import Limits
from connectors.warehouses.statements import Dialect
from connectors.warehouses.warehouse import client, option

_DIALECT = Dialect(quote="`", backslash=True, hash=True)
_BATCH = 20_000  # rows
_CONNECT_SECONDS = 15
_UNSIGNED = 32  # a flag of columns
_BINARY = 63  # a character set

_INTEGERS = frozenset({1, 2, 3, 9, 13})  # TINYINT, SMALLINT, INT, MEDIUMINT, YEAR
_BIGINT, _FLOATS, _DECIMALS = 8, frozenset({4, 5}), frozenset({0, 246})
_DATES, _DATETIME, _TIMESTAMP = frozenset({10, 14}), 12, 7
_BIT, _TINYINT, _JSON = 16, 1, 245
_TEXTS = frozenset({15, 249, 250, 251, 252, 253, 254})


class MySQL:
    """See `connectors.warehouses.warehouse.Warehouse`."""

    def __init__(self, root: Path, settings: Settings, limits: Limits) -> None:
        password = option(settings, "password")
        host = str(option(settings, "host"))
        self._secrets = Secrets(password)
        self._where = f"MySQL at {host}"
        self._limits = limits
        self._arguments: dict[str, Any] = {
            "host": host,
            "port": int(str(option(settings, "port", 3306))),
            "user": option(settings, "user"),
            # As bytes, since the client would encode texts as Latin-1.
            "password": str(password or "").encode(),
            "database": str(option(settings, "database")),
            "charset": "utf8mb4",
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": limits.timeout // 1_000_000 + 1,
            **_tls(root, settings),
        }
        self._connection: Any = None
        self._result: Any = None

    def test(self) -> str:
        with discreet(self._where, self._secrets):
            connection = self._connect()
            try:
                version = connection.get_server_info()
                return f"MariaDB {version}" if "MariaDB" in version else f"MySQL {version}"
            finally:
                connection.close()

    def read(self, source: ModelSource, *, rows: bool) -> Any:
        with discreet(self._where, self._secrets):
            statement = _DIALECT.select(source, rows=rows)
            self._connection = self._connect()
            cursor = self._connection.cursor(client("pymysql.cursors", "mysql").SSCursor)
            for setting in self._session():
                cursor.execute(setting)
            cursor.execute(statement)
            self._result = cursor._result  # noqa: SLF001 - the one place that tells signed columns
            fields = [_Field(one) for one in self._result.fields]
            schema = pa.schema([pa.field(one.name, one.type) for one in fields])
            return pa.RecordBatchReader.from_batches(schema, self._batches(cursor, fields, schema))

    def explain(self, error: Exception) -> WarehouseError:
        return told(error, self._where, self._secrets)

    def cancel(self) -> None:
        """Ask the server, by another connection, to end the statement of this one."""
        if self._connection is None:
            return
        with suppress(Exception):
            other = self._connect()
            try:
                other.query(f"KILL QUERY {self._connection.thread_id()}")
            finally:
                other.close()

    def close(self) -> None:
        if self._connection is None:
            return
        with suppress(Exception):
            if self._result is not None and self._result.unbuffered_active:
                # Else the client would read all rows that are left before it lets go.
                self._result.unbuffered_active = False
            self._connection.close()
        self._connection = self._result = None

    def _connect(self) -> Any:
        # Only what is sent is converted; what comes stays text.
        encoders = client("pymysql.converters", "mysql").encoders
        return client("pymysql", "mysql").connect(**self._arguments, conv=encoders)

    def _session(self) -> Iterator[str]:
        seconds = max(1, self._limits.timeout // 1_000_000)
        if "MariaDB" in self._connection.get_server_info():
            yield f"SET SESSION max_statement_time = {seconds}"
        else:
            yield f"SET SESSION max_execution_time = {seconds * 1000}"
        yield "SET SESSION time_zone = '+00:00'"
        yield "SET SESSION TRANSACTION READ ONLY"
        yield "START TRANSACTION"

    def _batches(self, cursor: Any, fields: Sequence[_Field], schema: Any) -> Iterator[Any]:
        while rows := cursor.fetchmany(_BATCH):
            columns = [
                one.read(pa.array(values, one.text))
                for one, values in zip(fields, zip(*rows, strict=True), strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _tls(root: Path, settings: Settings) -> dict[str, Any]:
    ca = option(settings, "ca")
    match option(settings, "tls", "require"):
        case "disable":
            return {"ssl_disabled": True}
        case "verify-full":
            file = None if ca is None else str(root.resolve() / str(ca))
            return {"ssl": {"ca": file}, "ssl_verify_cert": True, "ssl_verify_identity": True}
    return {"ssl": {"check_hostname": False, "verify_mode": "none"}}


class _Field:
    """A column as the server describes it, and how its texts are read."""

    def __init__(self, described: Any) -> None:
        self.name = described.name
        self.text = pa.string()
        kind = described.type_code
        binary = described.charsetnr == _BINARY
        self.type, self.read = self.text, _as_it_is
        if kind == _TINYINT and described.length == 1:
            self.type, self.read = pa.bool_(), lambda texts: pc.not_equal(texts, "0")
        elif kind == _BIT or (kind in _TEXTS and binary):
            self.text = self.type = pa.binary()
        elif kind in _INTEGERS:
            self._cast(pa.int64())
        elif kind == _BIGINT:
            self._cast(pa.uint64() if described.flags & _UNSIGNED else pa.int64())
        elif kind in _FLOATS:
            self._cast(pa.float64())
        elif kind in _DECIMALS:
            self._cast(_decimal(described))
        elif kind in _DATES:
            self._cast(pa.date32(), _dated)
        elif kind == _DATETIME:
            self._cast(pa.timestamp("us"), _dated)
        elif kind == _TIMESTAMP:
            self.type = pa.timestamp("us", "UTC")
            self.read = lambda texts: _dated(texts).cast(pa.timestamp("us")).cast(self.type)

    def _cast(self, to: Any, before: Callable[[Any], Any] | None = None) -> None:
        self.type = to
        self.read = lambda texts: pc.cast(before(texts) if before else texts, to)


def _as_it_is(texts: Any) -> Any:
    return texts


def _decimal(described: Any) -> Any:
    """The type of a DECIMAL, whose length counts a sign and a point as well."""
    scale = described.scale
    precision = described.length - (scale > 0) - (not described.flags & _UNSIGNED)
    return pa.decimal128(precision, scale) if scale <= precision <= 38 else pa.float64()


def _dated(texts: Any) -> Any:
    """Without the days that are none, 0000-00-00 and 2026-03-00, which MySQL may hold."""
    none = pc.match_substring_regex(texts, "^0000|-00")
    return pc.if_else(none, pa.scalar(None, pa.string()), texts)
