"""What every warehouse keeps to, whatever its client: types, sizes, refusals, limits, secrets.

PostgreSQL and MariaDB are real servers; Redshift is PostgreSQL here, asked as Redshift would be.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audience_dsl.definitions import ColumnType, Comparison, ModelSource, Settings
from connectors.warehouses.registry import open_relation, open_warehouse
from tests.warehouse.mariadb import PASSWORD
from tests.warehouse.plans import AT, model, plan
from tests.warehouse.test_pull import users_with
from tests.warehouse.warehouses import FOREVER, HORSE, MILLION, Place, create_types
from warehouse.errors import WarehouseError
from warehouse.pull import pull

HOUR = 3_600_000_000
DECLARED = {
    "name": ColumnType.STRING, "money": ColumnType.NUMBER, "big": ColumnType.NUMBER,
    "huge": ColumnType.NUMBER, "fraction": ColumnType.NUMBER, "small": ColumnType.NUMBER,
    "flag": ColumnType.BOOLEAN, "day": ColumnType.TIMESTAMP, "moment": ColumnType.TIMESTAMP,
    "zoned": ColumnType.TIMESTAMP, "tags": ColumnType.ARRAY, "doc": ColumnType.STRING,
}  # fmt: skip


@pytest.fixture(scope="module")
def million(place: Place) -> ModelSource:
    place.run(f"CREATE TABLE million AS {MILLION[place.dialect]}")
    return place.source("million")


def test_the_connection_is_tested(place: Place) -> None:
    assert any(digit.isdigit() for digit in open_warehouse(
        place.root, place.settings, ModelSource(table="x")
    ).test())  # fmt: skip


def test_every_type_means_the_same(place: Place) -> None:
    create_types(place, "typed")
    source = place.source("typed")
    # DuckDB reads whole numbers of that size in JSON as fractions.
    exact = source.json is None
    huge = 123_456_789_012_345_678_901_234_567_890
    tests: list[tuple[str, str, Any]] = [
        ("name", "equals", HORSE),
        ("money", "equals", 12.5),
        ("big", "equals", 9_007_199_254_740_993),
        ("huge", "equals", huge if exact else float(huge)),
        ("fraction", "equals", 0.1),
        ("small", "equals", -7),
        ("flag", "is", True),
        ("day", "equals", AT),
        ("moment", "equals", AT + 10 * HOUR + 1),
        ("zoned", "equals", AT + 8 * HOUR),
        ("tags", "has_all", ("ä", "b")),
        ("doc", "contains", "null"),
    ]  # fmt: skip
    present = [Comparison(one, name, operand, DECLARED[one]) for one, name, operand in tests]
    missing = [Comparison(one, "exists", False, DECLARED[one]) for one in DECLARED]
    compiled = plan(model(source, DECLARED), *present, *missing)
    snapshot = pull(place.root, place.settings, compiled, AT)
    answers = [users_with(snapshot, bit) for bit in range(len(present) + len(missing))]
    assert answers == [{"ü"}] * len(present) + [{"nobody"}] * len(missing)
    assert snapshot.manifest.unreadable == {}


def test_a_million_rows(place: Place, million: ModelSource) -> None:
    upper = Comparison("i", "at_least", 500_000, ColumnType.NUMBER)
    half = Comparison("d", "equals", 499_999.5, ColumnType.NUMBER)
    snapshot = pull(place.root, place.settings, plan(model(million), upper, half), AT)
    assert snapshot.rows == 1_000_000
    bits = snapshot.snapshot.patterns[snapshot.snapshot.pattern_of, 0]
    assert (bits & 1).sum() == 500_000
    assert users_with(snapshot, 1) == {"u999999"}


@pytest.mark.parametrize("column", ["day", "moment"])
def test_rows_that_have_not_changed_are_left_out(place: Place, column: str) -> None:
    moment = "DATETIME" if place.dialect == "mysql" else "TIMESTAMP"
    place.run(
        "DROP TABLE IF EXISTS dated",
        f"CREATE TABLE dated (user_id VARCHAR(9), day DATE, moment {moment})",
        "INSERT INTO dated VALUES ('old', '2026-01-31', '2026-01-31 23:59:59'), "
        "('new', '2026-02-01', '2026-02-01 00:00:00'), ('none', NULL, NULL)",
    )
    source = replace(place.source("dated"), since=(column, "2026-02-01"))
    known = Comparison("user_id", "exists", True, ColumnType.STRING)
    snapshot = pull(place.root, place.settings, plan(model(source), known), AT)
    assert users_with(snapshot, 0) == {"new", "none"}


def test_columns_that_vanish_change_or_grow(place: Place) -> None:
    free = Comparison("plan", "equals", "free", ColumnType.STRING)
    ltv = Comparison("ltv", "at_least", 5, ColumnType.NUMBER)

    def after(columns: str, values: str) -> Any:
        place.run(
            "DROP TABLE IF EXISTS changing",
            f"CREATE TABLE changing (user_id VARCHAR(20), {columns})",
            f"INSERT INTO changing VALUES ('u', {values})",
        )
        source = place.source("changing")
        declared = {"plan": ColumnType.STRING, "ltv": ColumnType.NUMBER}
        return pull(place.root, place.settings, plan(model(source, declared), free, ltv), AT)

    assert users_with(after("plan VARCHAR(9), ltv SMALLINT", "'free', 5"), 1) == {"u"}
    wider = after("plan VARCHAR(90), ltv DECIMAL(20, 4), more INT", "'free', 5.0001, 1")
    assert [users_with(wider, bit) for bit in range(2)] == [{"u"}, {"u"}]
    with pytest.raises(WarehouseError, match="there is no column 'ltv'; "):
        after("plan VARCHAR(9), lifetime INT", "'free', 5")
    with pytest.raises(WarehouseError, match=r"(cannot be read as|reads as) number"):
        after("plan VARCHAR(9), ltv VARCHAR(9)", "'free', 'much'")
    renamed = "there is no column 'plan'; did you mean 'plans'?"
    with pytest.raises(WarehouseError) as refused:
        after("plans VARCHAR(9), ltv INT", "'free', 5")
    assert renamed in str(refused.value)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM million",
        "DROP TABLE million",
        "SELECT 1; DROP TABLE million",
        "SELECT 1) AS x; DROP TABLE million; --",
        "WITH gone AS (DELETE FROM million RETURNING *) SELECT * FROM gone",
        "INSERT INTO million SELECT * FROM million",
        "SELECT * FROM million /* never closed",
        "",
    ],
)
def test_what_is_no_select_is_refused(place: Place, million: ModelSource, query: str) -> None:
    if not place.takes_queries:
        pytest.skip("files are asked no queries")
    with pytest.raises(WarehouseError), _reading(place, ModelSource(query=query)):
        pass
    with _reading(place, ModelSource(query="SELECT count(*) AS n FROM million")) as relation:
        (found,) = relation.connection.execute(f"FROM {relation.sql}").fetchall()
    assert found == (1_000_000,)


def test_a_query_may_hold_whatever_a_select_holds(place: Place) -> None:
    if not place.takes_queries:
        pytest.skip("files are asked no queries")
    text = "it''s; -- no ) comment"
    query = f"WITH one AS (SELECT '{text}' AS a) -- a comment;\nSELECT a /* ) */ FROM one;"
    with _reading(place, ModelSource(query=query)) as relation:
        assert relation.connection.execute(f"FROM {relation.sql}").fetchall() == [
            ("it's; -- no ) comment",)
        ]


def test_a_connection_that_breaks_half_way(place: Place, million: ModelSource) -> None:
    with (
        place.breaking(2_000_000) as (settings, source),
        pytest.raises(WarehouseError) as refused,
    ):
        pull(place.root, settings, plan(model(source)), AT)
    assert "Traceback" not in str(refused.value)


@pytest.mark.parametrize("after", [500, 2_000_000])
def test_a_server_that_stops_answering(place: Place, million: ModelSource, after: int) -> None:
    """Before it has told its columns, or half-way through the rows."""
    if place.dialect == "duckdb":
        pytest.skip("there is no server")
    with place.breaking(after, hangs=True) as (settings, source):
        impatient = Settings("w", settings.type, {**settings.options, "timeout": 1_000_000})
        with pytest.raises(WarehouseError, match="it took longer than 1s"):
            pull(place.root, impatient, plan(model(source)), AT)


def test_it_takes_too_long(place: Place, million: ModelSource) -> None:
    options = {**(place.settings.options if place.settings else {}), "timeout": 300_000}
    settings = Settings("w", place.settings.type if place.settings else "duckdb", options)
    source = million
    if place.takes_queries:
        source = ModelSource(query=FOREVER[place.dialect])
    else:
        options["timeout"] = 1
    with pytest.raises(WarehouseError, match=r"it took longer than .*; raise `warehouse: timeout`"):
        pull(place.root, settings, plan(model(source)), AT)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_rows": 999_999}, "it has more than 999,999 rows; raise `warehouse: max_rows`"),
        ({"max_bytes": 100_000}, "it is larger than 100,000 bytes; raise `warehouse: max_bytes`"),
    ],
)
def test_too_much(place: Place, million: ModelSource, limit: dict[str, int], message: str) -> None:
    options = {**(place.settings.options if place.settings else {}), **limit}
    settings = Settings("w", place.settings.type if place.settings else "duckdb", options)
    with pytest.raises(WarehouseError) as refused:
        pull(place.root, settings, plan(model(million)), AT)
    assert message in str(refused.value)


def test_a_reading_is_cancelled(place: Place, million: ModelSource) -> None:
    with _reading(place, million) as relation:
        relation.cancel()
        with pytest.raises(WarehouseError, match="it was cancelled"), relation.reading():
            relation.connection.execute(f"SELECT max(user_id) FROM {relation.sql}").fetchall()


def test_a_query_is_cancelled(place: Place) -> None:
    if not place.takes_queries:
        pytest.skip("files are asked no queries")
    source = ModelSource(query=FOREVER[place.dialect])
    warehouse = open_warehouse(place.root, place.settings, source)
    over = threading.Event()

    def insist() -> None:
        while not over.wait(0.2):
            warehouse.cancel()

    thread = threading.Thread(target=insist)
    thread.start()
    try:
        with pytest.raises(Exception, match=r"(?i)interrupt|cancel"):
            list(warehouse.read(source, rows=True))
    finally:
        over.set()
        thread.join()
        warehouse.close()


def test_no_message_tells_a_secret(place: Place) -> None:
    if place.settings is None or "password" not in place.settings.options:
        pytest.skip("there is no secret")
    wrong = {"host": "127.0.0.1", "port": 1}, {"user": "nobody"}, {"database": "nowhere"}
    secret = PASSWORD + "-wrong"
    for change in wrong:
        options = {**place.settings.options, **change, "password": secret}
        settings = Settings("w", place.settings.type, options)
        for source in (ModelSource(table="users"), ModelSource(query=f"SELECT '{secret}' AS")):
            with pytest.raises(WarehouseError) as refused:
                pull(place.root, settings, plan(model(source)), AT)
            shown = "".join(traceback.format_exception(refused.value)) + repr(settings)
            assert "geh" not in shown.replace(f"{source.query}", "")


def test_no_message_tells_what_a_row_has(place: Place) -> None:
    if not place.takes_queries or place.dialect == "mysql":
        pytest.skip("it reads all that a text can be, or nothing")
    rows = "(SELECT '1' AS id UNION ALL SELECT 'ada@shop.example') AS t"
    source = ModelSource(query=f"SELECT CAST(id AS INTEGER) AS user_id FROM {rows}")
    with pytest.raises(WarehouseError, match=r"(?i)integer|int32") as refused:
        pull(place.root, place.settings, plan(model(source)), AT)
    assert "ada" not in str(refused.value)


@contextmanager
def _reading(place: Place, source: ModelSource) -> Iterator[Any]:
    output = place.root / "output"
    output.mkdir(exist_ok=True)
    with (
        open_relation(place.root, place.settings, source, output=output) as relation,
        relation.reading(),
    ):
        yield relation


def test_nothing_is_imported_before_it_is_needed() -> None:
    names = "adbc_driver_postgresql pymysql snowflake google.cloud.bigquery databricks"
    code = (
        "import sys, connectors.warehouses.registry, cli.main\n"
        f"print([one for one in {names.split()!r} if one in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert found.stdout.strip() == "[]"
