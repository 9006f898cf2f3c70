"""Pulling a parent model: what is read, what is refused, and what stays in force."""

import fcntl
import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from audience_dsl.definitions import ColumnType, Comparison, ModelSource, Settings
from engine.hashing import stable_hashes
from tests.warehouse.plans import AT, DAY, model, plan
from warehouse.columns import read_columns
from warehouse.errors import WarehouseError
from warehouse.pull import pull
from warehouse.snapshot import WarehouseSnapshot, current, open_snapshot

WAREHOUSE = Settings("warehouse", "duckdb", {"path": "shop.duckdb"})
USERS = ModelSource(table="users")
FREE = Comparison("plan", "equals", "free", ColumnType.STRING)

Shop = Callable[[str], Path]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Runs statements in the project's warehouse; gives the project's folder."""

    def run(statements: str) -> Path:
        with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
            connection.execute(statements)
        return tmp_path

    return run


def users_with(snapshot: WarehouseSnapshot, predicate: int) -> set[str]:
    """Who has the predicate's bit."""
    view = snapshot.snapshot
    words = view.patterns[view.pattern_of, predicate // 64]
    bits = (words >> np.int64(predicate % 64)) & 1
    return {view.users.text(row) for row in np.flatnonzero(bits).tolist()}


def test_bits_answer_the_predicates_for_every_user(shop: Shop) -> None:
    root = shop(
        "CREATE TABLE users AS FROM (VALUES ('a', 'free', 10.5), ('b', 'pro', 400), "
        "('c', NULL, NULL), ('ü', 'free', 301)) t(user_id, plan, ltv)"
    )
    snapshot = pull(
        root,
        WAREHOUSE,
        plan(
            model(USERS),
            FREE,
            Comparison("plan", "not_equals", "free", ColumnType.STRING),
            Comparison("plan", "exists", False, ColumnType.STRING),
            Comparison("ltv", "greater_than", 300, ColumnType.NUMBER),
        ),
        AT,
    )
    assert [users_with(snapshot, bit) for bit in range(4)] == [
        {"a", "ü"},
        {"b"},
        {"c"},
        {"b", "ü"},
    ]
    assert snapshot.rows == 4
    assert snapshot.taken_at == AT


def test_users_ascend_by_hash_and_are_found(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' || i AS user_id FROM range(1000) t(i)")
    snapshot = pull(root, WAREHOUSE, plan(model(USERS)), AT)
    hashes = snapshot.snapshot.hashes
    assert (np.diff(hashes) > 0).all()
    assert (stable_hashes(snapshot.snapshot.users) == hashes).all()
    rows = snapshot.lookup(["u0", "nobody", "u999", "", "ü"])
    assert [row >= 0 for row in rows] == [True, False, True, False, False]
    assert snapshot.snapshot.users.text(int(rows[2])) == "u999"
    assert not snapshot.snapshot.users.data.flags.writeable


def test_more_predicates_than_a_word_has_bits(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT i::VARCHAR AS user_id, i FROM range(300) t(i)")
    predicates = [Comparison("i", "at_least", n, ColumnType.NUMBER) for n in range(200)]
    snapshot = pull(root, WAREHOUSE, plan(model(USERS), *predicates), AT)
    assert snapshot.snapshot.patterns.shape == (200, 4)
    for bit in (0, 1, 62, 63, 64, 127, 128, 199):
        assert users_with(snapshot, bit) == {str(i) for i in range(bit, 300)}


def test_a_plan_without_predicates_and_a_model_without_rows(shop: Shop) -> None:
    root = shop("CREATE TABLE users(user_id VARCHAR)")
    snapshot = pull(root, WAREHOUSE, plan(model(USERS)), AT)
    assert (snapshot.rows, snapshot.snapshot.patterns.shape[1]) == (0, 0)
    assert snapshot.lookup(["u1"]).tolist() == [-1]


def test_within_last_is_relative_to_the_instant_of_the_pull(shop: Shop) -> None:
    root = shop(
        "CREATE TABLE users AS FROM (VALUES ('old', TIMESTAMP '2026-02-28 00:00:00'), "
        "('new', TIMESTAMP '2026-02-28 00:00:00.000001'), ('now', TIMESTAMP '2026-03-01'), "
        "('later', TIMESTAMP '2026-03-01 00:00:00.000001')) t(user_id, created_at)"
    )
    recent = Comparison("created_at", "within_last", DAY, ColumnType.TIMESTAMP)
    coming = Comparison("created_at", "within_next", DAY, ColumnType.TIMESTAMP)
    snapshot = pull(root, WAREHOUSE, plan(model(USERS), recent, coming), AT)
    assert users_with(snapshot, 0) == {"new", "now"}
    assert users_with(snapshot, 1) == {"now", "later"}
    earlier = pull(root, WAREHOUSE, plan(model(USERS), recent), AT - DAY)
    assert users_with(earlier, 0) == {"old"}


TYPED = [
    # column type and value, declared type, operator, operand, whether it holds
    ("DECIMAL(10, 2)", "0.10", "number", "equals", 0.1, True),
    ("FLOAT", "0.7", "number", "at_least", 0.7, True),
    ("FLOAT", "0.7", "number", "equals", 0.7, True),
    ("DOUBLE", "'nan'", "number", "exists", True, False),
    ("DOUBLE", "'nan'", "number", "not_equals", 1, False),
    ("HUGEINT", "9007199254740993", "number", "equals", 9007199254740993, True),
    ("HUGEINT", "9007199254740993", "number", "equals", 9007199254740992, False),
    ("DECIMAL(38, 0)", "9007199254740993", "number", "equals", 9007199254740992.0, False),
    ("UBIGINT", "18446744073709551615", "number", "greater_than", 2**63, True),
    ("VARCHAR", "' 12.50 '", "number", "equals", 12.5, True),
    ("BIGINT", "12345", "string", "equals", "12345", True),
    ("UUID", "'0190c8c2-0000-7000-8000-000000000001'", "string", "starts_with", "0190", True),
    ("ENUM('x', 'y')", "'y'", "string", "in", ("y",), True),
    ("VARCHAR COLLATE NOCASE", "'Free'", "string", "equals", "free", False),
    ("DATE", "'2026-03-01'", "timestamp", "equals", AT, True),
    ("TIMESTAMP", "'2026-03-01'", "timestamp", "equals", AT, True),
    ("TIMESTAMPTZ", "'2026-03-01 01:00:00+01'", "timestamp", "equals", AT, True),
    ("TIMESTAMP_NS", "'1969-12-31 23:59:59.9999999'", "timestamp", "equals", -1, True),
    ("TIMESTAMP_S", "'2026-03-01'", "timestamp", "before", AT + 1, True),
    ("TIMESTAMP", "'infinity'", "timestamp", "exists", True, False),
    ("TIMESTAMP", "'20000-01-01'", "timestamp", "after", AT, False),
    ("BIGINT", "1772323200", "timestamp", "equals", AT, True),
    ("DOUBLE", "1772323200.5", "timestamp", "equals", AT + 500_000, True),
    ("VARCHAR", "'2026-03-01T01:00:00+01:00'", "timestamp", "equals", AT, True),
    ("VARCHAR[]", "['a', NULL, 'b']", "array", "has_all", ("b", "a"), True),
    ("VARCHAR[]", "['1']", "array", "has_any", (1, True), False),
    ("VARCHAR[2]", "['a', 'b']", "array", "has_none", ("c",), True),
    ("INTEGER[]", "[1, 2]", "array", "has_any", (2.0,), True),
    ("DECIMAL(4, 1)[]", "[0.5]", "array", "has_any", (0.5,), True),
    ("BOOLEAN[]", "[true]", "array", "has_any", (1,), False),
    ("JSON", """'["a", 5, true]'""", "array", "has_all", (5, "a", True), True),
    ("VARCHAR", """'["a"]'""", "array", "has_any", ("a",), True),
]


@pytest.mark.parametrize(("stored", "value", "declared", "operator", "operand", "holds"), TYPED)
def test_columns_are_read_as_declared(
    shop: Shop, stored: str, value: str, declared: str, operator: str, operand: Any, holds: bool
) -> None:
    root = shop(f"CREATE TABLE users(user_id VARCHAR, c {stored})")
    shop(f"INSERT INTO users VALUES ('u', {value}), ('nobody', NULL)")
    comparison = Comparison("c", operator, operand, ColumnType(declared))
    snapshot = pull(root, WAREHOUSE, plan(model(USERS), comparison), AT)
    assert users_with(snapshot, 0) == ({"u"} if holds else set())


def test_types_that_the_warehouse_gives(shop: Shop) -> None:
    root = shop(
        "CREATE TABLE users(user_id UUID, a DECIMAL(3, 1), b BOOLEAN, c TIMESTAMPTZ, d INTEGER[], "
        "e BLOB, f STRUCT(x INTEGER), g TIME, h ENUM('x'), i STRUCT(x INTEGER)[], j DATE)"
    )
    assert read_columns(root, WAREHOUSE, model(USERS)) == {
        "user_id": ColumnType.STRING,
        "a": ColumnType.NUMBER,
        "b": ColumnType.BOOLEAN,
        "c": ColumnType.TIMESTAMP,
        "d": ColumnType.ARRAY,
        "h": ColumnType.STRING,
        "j": ColumnType.TIMESTAMP,
    }


def test_values_that_do_not_read_as_declared_are_missing_and_counted(shop: Shop) -> None:
    root = shop(
        "CREATE TABLE users AS FROM (VALUES ('a', '5'), ('b', 'five'), ('c', NULL)) t(user_id, n)"
    )
    snapshot = pull(
        root,
        WAREHOUSE,
        plan(
            model(USERS, {"n": ColumnType.NUMBER}),
            Comparison("n", "exists", False, ColumnType.NUMBER),
        ),
        AT,
    )
    assert users_with(snapshot, 0) == {"b", "c"}
    assert snapshot.manifest.unreadable == {"n": 1}


def test_attributes_stand_in_the_order_that_the_snapshot_names(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT i AS user_id, i * 2.5 AS ltv FROM range(50) t(i)")
    snapshot = pull(root, WAREHOUSE, plan(model(USERS)), AT)
    rows = duckdb.execute(f"FROM '{snapshot.attributes_path}'").fetchall()
    for user, row in enumerate(snapshot.attribute_rows):
        key, ltv = rows[row]
        assert snapshot.snapshot.users.text(user) == str(key)
        assert ltv == key * 2.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("('a'), ('b'), ('a'), ('a')", "is not unique, 2 of 4 rows have one that came before"),
        ("('a'), (' a ')", "is not unique, 1 of 2 rows have one that came before"),
        ("('a'), (NULL), ('')", "2 of 3 rows have no value in the primary key 'user_id'"),
        ("(1.5)", "a key is text or an integer"),
        ("(DATE '2026-03-01')", "a key is text or an integer"),
    ],
)
def test_keys_that_are_none(shop: Shop, values: str, message: str) -> None:
    root = shop(f"CREATE TABLE users AS FROM (VALUES {values}) t(user_id)")
    with pytest.raises(WarehouseError, match="parent model users: ") as refused:
        pull(root, WAREHOUSE, plan(model(USERS)), AT)
    assert message in str(refused.value)


VALUES = "FROM (VALUES ('1'), ('ada@shop.example'), ('\"it''s\nada\"')) t(user_id)"


@pytest.mark.parametrize(
    ("selected", "said"),
    [
        ("user_id::INTEGER", "Could not convert string … to INT32 when casting from source column"),
        ("user_id::DECIMAL(5, 2)", "to DECIMAL(5,2) when casting from source column user_id"),
        ("user_id::DATE", "invalid date field format: … when casting from source column user_id"),
        ("user_id::JSON", "when casting from source column user_id"),
        ("strptime(user_id, '%Y')", "Invalid Input Error: …"),
        ("error(user_id)", "Invalid Input Error: …"),
        ("(length(user_id) + 4611686018427387904) * 2", "Overflow in multiplication of INT64 …"),
    ],
)
def test_values_that_cannot_be_read_are_not_repeated(shop: Shop, selected: str, said: str) -> None:
    root = shop("CREATE TABLE t AS SELECT 1")
    for rows in (VALUES, f"{VALUES}, range(200_000) ORDER BY range"):
        query = ModelSource(query=f"SELECT CAST({selected} AS VARCHAR) AS user_id {rows}")
        with pytest.raises(WarehouseError) as refused:
            pull(root, WAREHOUSE, plan(model(query)), AT)
        assert said in str(refused.value)
        assert "ada" not in str(refused.value)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"Plan": ColumnType.STRING}, "there is no column 'Plan'; did you mean 'plan'?"),
        ({"zzz": ColumnType.STRING}, "there is no column 'zzz'; it has: user_id, plan"),
        ({"plan": ColumnType.BOOLEAN}, "column 'plan' is VARCHAR and cannot be read as boolean"),
        ({"plan": ColumnType.NUMBER}, "none of the 1 values of column 'plan' (VARCHAR) reads as"),
    ],
)
def test_columns_that_are_not_as_declared(
    shop: Shop, properties: dict[str, ColumnType], message: str
) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id, 'free' AS plan")
    with pytest.raises(WarehouseError) as refused:
        pull(root, WAREHOUSE, plan(model(USERS, properties)), AT)
    assert message in str(refused.value)


def test_all_missing_columns_are_told_at_once(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS id")
    with pytest.raises(WarehouseError, match=r"'user_id'.*'ltv'"):
        pull(root, WAREHOUSE, plan(model(USERS, {"ltv": ColumnType.NUMBER})), AT)


def test_a_property_of_unknown_type_is_refused(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id, 'free' AS plan")
    with pytest.raises(WarehouseError, match="'plan' of users has no type"):
        pull(root, WAREHOUSE, plan(model(USERS), Comparison("plan", "equals", "free")), AT)


def test_a_failed_pull_leaves_the_snapshot_in_force(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id, 'free' AS plan")
    before = pull(root, WAREHOUSE, plan(model(USERS), FREE), AT)
    shop("INSERT INTO users VALUES ('u', 'pro')")
    with pytest.raises(WarehouseError):
        pull(root, WAREHOUSE, plan(model(USERS), FREE), AT + DAY)
    after = current(root, "users")
    assert after is not None
    assert after.version == before.version
    assert sorted(path.name for path in before.folder.parent.iterdir()) == [
        before.version,
        "current",
        "lock",
    ]


def test_versions_sort_by_instant_and_few_are_kept(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id, 'free' AS plan")
    pulled = [pull(root, WAREHOUSE, plan(model(USERS)), AT + n * DAY) for n in (0, 1, 1, 2)]
    versions = [one.version for one in pulled]
    assert versions == sorted(set(versions))
    assert [one.folder.exists() for one in pulled] == [False, True, True, True]
    newest = current(root, "users")
    assert newest is not None
    assert newest.version == versions[-1]
    # A job that still has a removed version mapped goes on reading it.
    assert pulled[0].lookup(["u"]).tolist() == [0]


def test_a_backtest_with_its_own_store_changes_nothing_in_the_project(
    shop: Shop, tmp_path: Path
) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id")
    pull(root, WAREHOUSE, plan(model(USERS)), AT, store=tmp_path / "elsewhere")
    assert current(root, "users") is None
    assert current(root, "users", store=tmp_path / "elsewhere") is not None


def test_leftovers_of_a_crash_are_removed(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id")
    snapshot = pull(root, WAREHOUSE, plan(model(USERS)), AT)
    leftover = snapshot.folder.parent / ".pulling-20250101T000000.000000Z"
    leftover.mkdir()
    (leftover / "attributes.parquet").write_bytes(b"half")
    pull(root, WAREHOUSE, plan(model(USERS)), AT + DAY)
    assert not leftover.exists()


def test_two_pulls_of_one_model_do_not_run_at_once(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id")
    snapshot = pull(root, WAREHOUSE, plan(model(USERS)), AT)
    with (snapshot.folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(WarehouseError, match="another pull of users is under way"):
            pull(root, WAREHOUSE, plan(model(USERS)), AT + DAY)


def test_a_snapshot_knows_which_predicates_it_answers(shop: Shop) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id, 'free' AS plan")
    snapshot = pull(root, WAREHOUSE, plan(model(USERS), FREE), AT)
    assert snapshot.covers([FREE])
    assert snapshot.covers([])
    assert not snapshot.covers([Comparison("plan", "equals", "pro", ColumnType.STRING)])


@pytest.mark.parametrize("damage", ["manifest.json", "hashes.npy", "user_data.npy", "patterns.npy"])
@pytest.mark.parametrize("how", ["cut", "gone", "foreign"])
def test_damaged_snapshots_are_refused(shop: Shop, damage: str, how: str) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' || i AS user_id, 'x' AS plan FROM range(9) t(i)")
    snapshot = pull(root, WAREHOUSE, plan(model(USERS), FREE), AT)
    file = snapshot.folder / damage
    match how:
        case "cut":
            file.write_bytes(file.read_bytes()[:-5])
        case "gone":
            file.unlink()
        case "foreign":
            file.write_bytes(b"\x93something else")
    with pytest.raises(WarehouseError, match="pull it anew"):
        open_snapshot(snapshot.folder)


def test_threads_open_a_snapshot_at_the_same_time(shop: Shop) -> None:
    """Also where Python's search for cycles lets others go on in the middle of it."""
    root = shop("CREATE TABLE users AS SELECT 'u' || i AS user_id, 'x' AS plan FROM range(9) t(i)")
    folder = pull(root, WAREHOUSE, plan(model(USERS), FREE), AT).folder
    usual = gc.get_threshold()

    def let_others(_phase: str, _facts: dict[str, int]) -> None:
        time.sleep(0)

    gc.callbacks.append(let_others)
    gc.set_threshold(3)
    try:
        with ThreadPoolExecutor(4) as threads:
            opened = list(threads.map(lambda _: open_snapshot(folder).rows, range(400)))
    finally:
        gc.set_threshold(*usual)
        gc.callbacks.remove(let_others)
    assert opened == [9] * 400


def test_a_parent_model_may_have_any_key(shop: Shop, tmp_path: Path) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id")
    compiled = plan(model(USERS))
    for key in ("../../outside", "..", "a/b", "größe"):
        named = type(compiled.parent_model)(
            key, USERS, "user_id", compiled.parent_model.pull, properties={}
        )
        pull(root, WAREHOUSE, type(compiled)(named, compiled.plan, (), ()), AT)
        assert current(root, key) is not None
    assert {path.name for path in tmp_path.iterdir()} == {"shop.duckdb", ".usher"}
    assert {path.name for path in (root / ".usher").iterdir()} == {"snapshots"}


def test_the_store_cannot_be_written(shop: Shop, tmp_path: Path) -> None:
    root = shop("CREATE TABLE users AS SELECT 'u' AS user_id")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WarehouseError, match="cannot be written"):
        pull(root, WAREHOUSE, plan(model(USERS)), AT, store=tmp_path / "file")


def test_instants_are_shown_in_utc_whatever_the_machines_zone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    root = shop(
        "CREATE TABLE users AS SELECT 'u' AS user_id, TIMESTAMPTZ '2026-03-01 00:00+00' AS c"
    )
    snapshot = pull(root, WAREHOUSE, plan(model(USERS)), AT)
    ((moment,),) = duckdb.execute(f"SELECT c FROM '{snapshot.attributes_path}'").fetchall()
    assert moment.isoformat() == "2026-03-01T00:00:00"
