"""Where parent models are read from: tables, queries, Parquet and CSV, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from audience_dsl.definitions import ColumnType, Comparison, ModelSource, Settings
from tests.warehouse.plans import AT, model, plan
from warehouse.columns import read_columns
from warehouse.errors import WarehouseError
from warehouse.pull import pull

WAREHOUSE = Settings("warehouse", "duckdb", {"path": "data/shop.duckdb"})
CSV = "user_id,plan,zip,ltv,created_at\n007,free,01234,5,2026-03-01\n8,,99,7.5,2026-02-01\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of one table, one view, and the same as files."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    with duckdb.connect(str(folder / "data" / "shop.duckdb")) as connection:
        connection.execute(
            "CREATE SCHEMA crm;"
            "CREATE TABLE crm.users AS SELECT 'u' || i AS user_id FROM range(3) t(i);"
            "CREATE VIEW users AS FROM shop.crm.users"
        )
        connection.execute(f"COPY users TO '{folder}/data/users-1.parquet'")
    (folder / "data" / "users.csv").write_text(CSV)
    (tmp_path / "secret.csv").write_text("user_id\nsecret\n")
    return folder


def keys(root: Path, source: ModelSource, warehouse: Settings | None = WAREHOUSE) -> list[str]:
    view = pull(root, warehouse, plan(model(source)), AT).snapshot
    return sorted(view.users.text(row) for row in range(len(view.hashes)))


@pytest.mark.parametrize(
    "source",
    [
        ModelSource(table="users"),
        ModelSource(table="crm.users"),
        ModelSource(parquet="data/users-1.parquet"),
        ModelSource(parquet="data/users-*.parquet"),
        ModelSource(query="SELECT * FROM users -- all of them"),
        ModelSource(query="WITH u AS (FROM users) SELECT user_id FROM u;"),
        ModelSource(query="FROM 'data/users-1.parquet'"),
        ModelSource(query="SELECT * FROM read_parquet(['data/users-*.parquet'])"),
        ModelSource(query="SELECT * FROM users WHERE user_id <> 'data/users-1.parquet'"),
    ],
)
def test_sources_of_the_same_users(root: Path, source: ModelSource) -> None:
    assert keys(root, source) == ["u0", "u1", "u2"]


def test_files_need_no_warehouse(root: Path) -> None:
    assert keys(root, ModelSource(csv="data/users.csv"), None) == ["007", "8"]
    assert keys(root, ModelSource(query="FROM 'data/users-1.parquet'"), None) == ["u0", "u1", "u2"]
    with pytest.raises(WarehouseError, match="table users: no database to read it from"):
        keys(root, ModelSource(table="users"), None)


def test_an_absolute_path_that_the_project_names_is_read(root: Path, tmp_path: Path) -> None:
    assert keys(root, ModelSource(csv=str(tmp_path / "secret.csv"))) == ["secret"]


def test_texts_of_csv_files_stay_texts(root: Path) -> None:
    users = model(ModelSource(csv="data/users.csv"), {"zip": ColumnType.STRING})
    assert read_columns(root, None, users) == {
        "user_id": ColumnType.STRING,
        "plan": ColumnType.STRING,
        "zip": ColumnType.STRING,
        "ltv": ColumnType.NUMBER,
        "created_at": ColumnType.TIMESTAMP,
    }
    snapshot = pull(
        root, None, plan(users, Comparison("zip", "equals", "01234", ColumnType.STRING)), AT
    )
    view = snapshot.snapshot
    assert view.patterns[view.pattern_of[snapshot.lookup(["007"])[0]], 0] == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (ModelSource(table="user"), "no table 'user'; did you mean 'users'?"),
        (ModelSource(table="x; DROP TABLE users"), "no table 'x; DROP TABLE users'"),
        (ModelSource(parquet="data/none-*.parquet"), "no such file below the project folder"),
        (ModelSource(parquet="data/users.csv"), "parquet data/users.csv: "),
        (ModelSource(parquet="s3://bucket/users.parquet"), "only local files can be read yet"),
        (ModelSource(query="SELECT 1; DROP TABLE users"), "exactly one SELECT statement"),
        (ModelSource(query="DROP TABLE users"), "exactly one SELECT statement"),
        (ModelSource(query=""), "exactly one SELECT statement"),
        (ModelSource(query="SELEC 1"), "the query cannot be read"),
        (ModelSource(query="SELECT 1) UNION (SELECT 2"), "the query cannot be read"),
        (ModelSource(query="SELECT * FROM nowhere"), "nowhere"),
        (
            ModelSource(query="FROM read_csv('../secret.csv')"),
            "only files below the project folder",
        ),
        (ModelSource(query="FROM '../secret.csv'"), "only files below the project folder"),
        (ModelSource(query="FROM read_text('/etc/passwd')"), "only files below the project folder"),
        (ModelSource(query="FROM glob('/etc/*')"), "only files below the project folder"),
        (ModelSource(query="SELECT CAST('x' AS INTEGER) AS user_id"), "the query: "),
        (ModelSource(), "needs `from:` with table, query, parquet, csv or json"),
    ],
)
def test_what_cannot_be_read_is_told(root: Path, source: ModelSource, message: str) -> None:
    with pytest.raises(WarehouseError) as refused:
        keys(root, source)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "function", ["query('DROP TABLE users')", "getenv('HOME')", "pragma_database_list()"]
)
def test_a_query_cannot_change_or_leave_the_warehouse(root: Path, function: str) -> None:
    with pytest.raises(WarehouseError):
        keys(root, ModelSource(query=f"FROM {function}"))
    assert keys(root, ModelSource(table="users")) == ["u0", "u1", "u2"]


def test_a_missing_or_foreign_database_is_told(root: Path) -> None:
    gone = Settings("warehouse", "duckdb", {"path": "data/gone.duckdb"})
    with pytest.raises(WarehouseError, match=r"warehouse data/gone.duckdb: no such file"):
        keys(root, ModelSource(table="users"), gone)
    foreign = Settings("warehouse", "duckdb", {"path": "data/users.csv"})
    with pytest.raises(WarehouseError, match=r"users.csv: not a readable DuckDB database"):
        keys(root, ModelSource(table="users"), foreign)


def test_a_database_that_is_being_written_is_told(root: Path) -> None:
    database = str(root / "data" / "shop.duckdb")
    holds = f"import duckdb; c = duckdb.connect({database!r}); print('open', flush=True); input()"
    writer = subprocess.Popen(
        [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    try:
        writer.stdout.readline()
        with pytest.raises(WarehouseError, match="another process has it open for writing"):
            keys(root, ModelSource(table="users"))
    finally:
        writer.communicate(b"\n")


def test_an_unknown_type_of_warehouse_is_refused(root: Path) -> None:
    with pytest.raises(WarehouseError, match="'oracle' cannot be read; the types are: duckdb, "):
        keys(root, ModelSource(table="users"), Settings("warehouse", "oracle", {}))


def test_paths_start_at_the_project_wherever_the_process_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "users-1.parquet").write_text("another file of the same name")
    monkeypatch.chdir(tmp_path)
    relative = Path(os.path.relpath(root, tmp_path))
    for source in (
        ModelSource(query="FROM 'data/users-1.parquet'"),
        ModelSource(parquet="data/users-1.parquet"),
        ModelSource(table="users"),
    ):
        assert keys(relative, source) == ["u0", "u1", "u2"]


def test_a_column_may_have_any_name(root: Path) -> None:
    column = 'a "b" \'; DROP TABLE users; --'
    quoted = column.replace('"', '""')
    query = f'SELECT user_id, 5 AS "{quoted}" FROM users'
    comparison = Comparison(column, "equals", 5, ColumnType.NUMBER)
    snapshot = pull(root, WAREHOUSE, plan(model(ModelSource(query=query)), comparison), AT)
    assert snapshot.snapshot.patterns.tolist() == [[1]]
