"""Clouds, as far as their own clients: the real client for Snowflake and BigQuery, with its network
answered here; for Databricks the cursor that its client documents.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from audience_dsl.definitions import ColumnType, Comparison, ModelSource, Settings
from connectors.warehouses.registry import open_relation, open_warehouse
from tests.warehouse.clouds import BigQueryCloud, Cloud, SnowflakeCloud, served
from tests.warehouse.plans import AT, model, plan
from tests.warehouse.test_pull import users_with
from warehouse.errors import WarehouseError
from warehouse.pull import pull

HOUR = 3_600_000_000
SECRET = "sw0rdfish"
USERS = ModelSource(table="crm.users")
TESTS: list[tuple[str, str, Any, ColumnType]] = [
    ("money", "equals", 12.5, ColumnType.NUMBER),
    ("big", "equals", 9_007_199_254_740_993, ColumnType.NUMBER),
    ("fraction", "equals", 0.1, ColumnType.NUMBER),
    ("flag", "is", True, ColumnType.BOOLEAN),
    ("day", "equals", AT, ColumnType.TIMESTAMP),
    ("moment", "equals", AT + 10 * HOUR + 1, ColumnType.TIMESTAMP),
    ("zoned", "equals", AT + 8 * HOUR, ColumnType.TIMESTAMP),
    ("tags", "has_all", ("ä", "b"), ColumnType.ARRAY),
    ("doc", "starts_with", '{"a":', ColumnType.STRING),
]


class FakeCursor:
    """The part of Databricks' cursor that its documentation promises, over two tables of Arrow."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._given = 0

    def execute(self, statement: str) -> None:
        self._cloud.statements.append(statement)
        if not statement.startswith("SELECT"):
            raise RuntimeError(f"[PARSE_SYNTAX_ERROR] near {SECRET}")

    def fetchmany_arrow(self, _: int) -> Any:
        self._given += 1
        if self._cloud.fails_at is not None and self._given > self._cloud.fails_at:
            raise RuntimeError(f"Error during request to server, token {SECRET}: connection reset")
        values: list[Any] = [
            "ü", Decimal("12.50"), 9_007_199_254_740_993, 0.1, True, date(2026, 3, 1),
            datetime(2026, 3, 1, 10, 0, 0, 1, UTC).replace(tzinfo=None),
            datetime(2026, 3, 1, 8, tzinfo=UTC), ["ä", "b"],
            '{"a": 1}',
        ]  # fmt: skip
        types = [
            pa.string(), pa.decimal128(12, 2), pa.int64(), pa.float64(), pa.bool_(), pa.date32(),
            pa.timestamp("us"), pa.timestamp("us", "Etc/UTC"), pa.list_(pa.string()), pa.string(),
        ]  # fmt: skip
        names = ["user_id", *(name for name, *_ in TESTS)]
        rows = {1: [values], 2: [["nobody", *[None] * 9]]}.get(self._given, [])
        columns = [pa.array([row[n] for row in rows], type_) for n, type_ in enumerate(types)]
        return pa.table(columns, names=names)

    def fetchone(self) -> Any:
        return ("2026.10",)

    def cancel(self) -> None: ...


class FakeConnection:
    def __init__(self, cloud: Cloud, given: dict[str, Any]) -> None:
        assert given["access_token"] == SECRET
        self._cloud = cloud

    def cursor(self) -> FakeCursor:
        return FakeCursor(self._cloud)

    def close(self) -> None: ...


Known = tuple[Settings, Cloud]


@pytest.fixture(params=["snowflake", "bigquery", "databricks"])
def known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Known]:
    if request.param == "databricks":
        cloud = Cloud()
        module = ModuleType("databricks.sql")
        module.connect = lambda **given: FakeConnection(cloud, given)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "databricks", ModuleType("databricks"))
        monkeypatch.setitem(sys.modules, "databricks.sql", module)
        options = {"host": "x.cloud.databricks.com", "http_path": "/sql/1", "token": SECRET}
        yield Settings("warehouse", "databricks", options), cloud
        return
    cloud = SnowflakeCloud() if request.param == "snowflake" else BigQueryCloud()
    with served(cloud) as port:
        if request.param == "bigquery":
            endpoint = {"project": "shop", "endpoint": f"http://127.0.0.1:{port}"}
            yield Settings("warehouse", "bigquery", endpoint), cloud
        else:
            account: dict[str, Any] = {
                "account": "acme", "user": "reader", "password": SECRET, "database": "shop",
                "host": "127.0.0.1", "port": port, "protocol": "http",
            }  # fmt: skip
            yield Settings("warehouse", "snowflake", account), cloud


def _case(settings: Settings, name: str) -> str:
    return name.upper() if settings.type == "snowflake" else name


def test_types_and_missing_values(known: Known, tmp_path: Path) -> None:
    settings, cloud = known
    tests = [Comparison(_case(settings, c), name, value, type_) for c, name, value, type_ in TESTS]
    missing = [Comparison(one.column, "exists", False, one.type) for one in tests]
    users = model(USERS, primary_key=_case(settings, "user_id"))
    snapshot = pull(tmp_path, settings, plan(users, *tests, *missing), AT)
    answers = [users_with(snapshot, bit) for bit in range(2 * len(tests))]
    if settings.type == "bigquery":  # a repeated column is empty there, and never missing
        answers[len(tests) + 7] = {"nobody"}
    assert answers == [{"ü"}] * len(tests) + [{"nobody"}] * len(tests)
    assert snapshot.rows == 2
    assert all(one.startswith("SELECT ") for one in cloud.statements)
    assert "users" in cloud.statements[-1]


def test_columns_alone(known: Known, tmp_path: Path) -> None:
    settings, _ = known
    with open_relation(tmp_path, settings, USERS) as relation:
        assert _case(settings, "money") in relation.columns


def test_a_query_that_is_no_select_is_not_sent(known: Known, tmp_path: Path) -> None:
    settings, cloud = known
    for query in (
        "DELETE FROM users",
        "SELECT 1; DROP TABLE users",
        "SELECT 1) AS x; DROP TABLE y",
    ):
        with pytest.raises(WarehouseError, match="exactly one SELECT"):
            pull(tmp_path, settings, plan(model(ModelSource(query=query))), AT)
    assert not [one for one in cloud.statements if "DELETE" in one or "DROP" in one]


def test_it_breaks_half_way(known: Known, tmp_path: Path) -> None:
    settings, cloud = known
    cloud.fails_at = 1
    users = model(USERS, primary_key=_case(settings, "user_id"))
    with pytest.raises(WarehouseError) as refused:
        pull(tmp_path, settings, plan(users), AT)
    assert SECRET not in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_the_connection_is_tested(known: Known, tmp_path: Path) -> None:
    settings, _ = known
    answer = open_warehouse(tmp_path, settings, USERS).test()
    assert answer.lower().startswith(settings.type)


def test_limits(known: Known, tmp_path: Path) -> None:
    settings, _ = known
    little = Settings("w", settings.type, {**settings.options, "max_rows": 1})
    users = model(USERS, primary_key=_case(settings, "user_id"))
    with pytest.raises(WarehouseError, match="it has more than 1 rows"):
        pull(tmp_path, little, plan(users), AT)


@pytest.mark.parametrize(
    ("type_", "module"),
    [
        ("postgres", "adbc_driver_postgresql.dbapi"),
        ("redshift", "adbc_driver_postgresql.dbapi"),
        ("mysql", "pymysql.converters"),
        ("snowflake", "snowflake.connector"),
        ("bigquery", "google.cloud.bigquery"),
        ("databricks", "databricks.sql"),
    ],
)
def test_a_client_that_is_not_installed(
    type_: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    options = {"host": "127.0.0.1", "port": 1, "database": "d", "account": "a", "project": "p"}
    settings = Settings("warehouse", type_, options)
    with pytest.raises(WarehouseError) as refused:
        pull(tmp_path, settings, plan(model(USERS)), AT)
    assert f"run: pip install 'usher[{type_}]'" in str(refused.value)
