"""Collections: rows found by key or index, exactly as a dictionary would, version by version."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_dsl.definitions import Collection, ColumnType, ModelSource, ParentModel, ParentPlan
from dataflows.preparation import fresh_snapshots
from project.folder import load_project
from tests.warehouse.plans import AT, model, plan
from warehouse.errors import WarehouseError
from warehouse.lookups import CollectionReader
from warehouse.pull import pull
from warehouse.snapshot import open_snapshot
from warehouse.versions import Versions, default_store

Row = dict[str, Any]

PROFILES = Collection("profiles", "users", ("email", "shop"), ("user_id", "email", "shop", "ltv"))
TYPES = {
    "email": ColumnType.STRING,
    "shop": ColumnType.NUMBER,
    "ltv": ColumnType.NUMBER,
}
SCHEMA = pa.schema([
    ("user_id", pa.string()), ("email", pa.string()), ("shop", pa.int64()), ("ltv", pa.float64()),
])  # fmt: skip


def users() -> ParentModel:
    return model(ModelSource(parquet="users.parquet"), TYPES)


def pulled(
    root: Path, rows: list[Row], *collections: Collection, at: int = AT, schema: Any = SCHEMA
) -> ParentPlan:
    """Pull these rows with these collections."""
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), root / "users.parquet")
    bare = plan(users())
    wanted = ParentPlan(
        bare.parent_model, bare.plan, bare.conditions, bare.predicates, collections or (PROFILES,)
    )
    pull(root, None, wanted, at)
    return wanted


def reader(root: Path, collection: Collection = PROFILES) -> CollectionReader:
    return CollectionReader(root, users(), collection)


def row(user: str, email: str | None = None, shop: int | None = None, ltv: float = 0) -> Row:
    return {"user_id": user, "email": email, "shop": shop, "ltv": ltv}


def test_by_the_key_and_by_an_index(tmp_path: Path) -> None:
    ada, ben, cy = row("ada", "a@x", 1, 2.5), row("ben", "b@x", 2), row("cy", None, 1)
    pulled(tmp_path, [cy, ada, ben])
    found = reader(tmp_path)
    assert found.get("user_id", "ben") == [ben]
    assert found.get("email", "a@x") == [ada]
    assert found.get("shop", 1) == found.get("shop", "1") == [cy, ada]  # as the warehouse has them
    for index, value in (("email", ""), ("email", "None"), ("email", "\ud800"), ("shop", 3)):
        assert found.get(index, value) == []
    assert found.get_many("user_id", ["ada", "dan", "ada"]) == [[ada], [], [ada]]


def test_documents_are_json(tmp_path: Path) -> None:
    pulled(tmp_path, [row("ada", 'q"\n\0ü', 1, 2.5)])
    (document,) = reader(tmp_path).finder("user_id")("ada")
    assert document == '{"user_id":"ada","email":"q\\"\\n\\u0000ü","shop":1,"ltv":2.5}'.encode()


def test_an_unknown_index_is_a_fault_of_the_caller(tmp_path: Path) -> None:
    pulled(tmp_path, [row("ada")])
    with pytest.raises(KeyError):
        reader(tmp_path).get("ltv", "1")


def test_fields_of_every_type(tmp_path: Path) -> None:
    schema = pa.schema([
        ("user_id", pa.int64()), ("vip", pa.bool_()), ("joined", pa.timestamp("us")),
        ("tags", pa.list_(pa.string())), ("big", pa.decimal128(30, 0)),
    ])  # fmt: skip
    rows = [{"user_id": 7, "vip": True, "joined": AT, "tags": ["a", None], "big": 10**20 + 1}]
    table = pa.Table.from_pylist(rows[:0], schema=schema)
    columns = {
        name: pa.array([value], type=schema.field(name).type) for name, value in rows[0].items()
        if name != "big"
    }  # fmt: skip
    columns["big"] = pa.array([f"{10**20 + 1}"]).cast(pa.decimal128(30, 0))
    everything = Collection("everything", "users", ("big",))
    pq.write_table(table, tmp_path / "users.parquet")
    pq.write_table(pa.table(columns), tmp_path / "users.parquet")
    bare = plan(model(ModelSource(parquet="users.parquet")))
    wanted = ParentPlan(bare.parent_model, bare.plan, (), (), (everything,))
    pull(tmp_path, None, wanted, AT)
    expected = {
        "user_id": 7,
        "vip": True,
        "joined": "2026-03-01T00:00:00.000000Z",
        "tags": ["a", None],
        "big": 10**20 + 1,
    }
    found = CollectionReader(tmp_path, bare.parent_model, everything)
    assert found.get("user_id", 7) == found.get("big", 10**20 + 1) == [expected]


def test_no_rows(tmp_path: Path) -> None:
    pulled(tmp_path, [])
    assert reader(tmp_path).get("user_id", "ada") == []


def test_a_reader_follows_the_pull(tmp_path: Path) -> None:
    pulled(tmp_path, [row("ada", "old@x")])
    found = reader(tmp_path)
    assert found.get("email", "old@x") != []
    before = found.version
    for number in range(1, 6):  # by now the version that was opened first is removed
        pulled(tmp_path, [row("ada", f"new{number}@x")], at=AT + number)
        assert found.get("email", f"new{number}@x") == [row("ada", f"new{number}@x")]
        assert found.get("email", "old@x") == []
    assert found.version != before


def test_other_processes_read_it(tmp_path: Path) -> None:
    pulled(tmp_path, [row("ada", "a@x", 1)])
    program = (
        "from pathlib import Path\n"
        "from tests.warehouse.test_collections import reader\n"
        f"print(reader(Path({str(tmp_path)!r})).get('email', 'a@x')[0]['user_id'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "ada\n"


def test_before_the_first_pull(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="nothing has been pulled of users yet"):
        reader(tmp_path).get("user_id", "ada")


def test_a_collection_that_is_newer_than_the_snapshot(tmp_path: Path) -> None:
    pulled(tmp_path, [row("ada")])
    changed = Collection("profiles", "users", ("email",))
    with pytest.raises(WarehouseError, match="run: usher pull users"):
        reader(tmp_path, changed).get("user_id", "ada")
    folder = Versions(default_store(tmp_path), "users").current()
    assert folder is not None
    assert open_snapshot(folder).has_collections([PROFILES])
    assert not open_snapshot(folder).has_collections([changed])


_PROJECT = """
parent_models:
  users: {from: {csv: users.csv}, primary_key: user_id, properties: {email: string}}
"""
_PROFILES = """
collections:
  profiles: {parent_model: users, indexes: [email]}
"""


def test_a_job_that_starts_pulls_for_a_new_collection(tmp_path: Path) -> None:
    versions: list[str] = []
    for collections in ("", _PROFILES, _PROFILES):
        (tmp_path / "usher.yml").write_text(_PROJECT + collections)
        (tmp_path / "users.csv").write_text("user_id,email\nu1,a@x\n")
        loaded = load_project(tmp_path, {}).loaded
        assert loaded is not None
        versions.append(fresh_snapshots(loaded, AT + len(versions))["users"].version)
    assert versions[0] != versions[1] == versions[2]
    assert loaded is not None
    found = CollectionReader(
        tmp_path, loaded.project.parent_models["users"], loaded.project.collections["profiles"]
    )
    assert found.get("email", "a@x") == [{"user_id": "u1", "email": "a@x"}]


def test_damage_is_noticed(tmp_path: Path) -> None:
    pulled(tmp_path, [row("ada")])
    folder = Versions(default_store(tmp_path), "users").current()
    assert folder is not None
    with (folder / "collection.profiles.documents").open("ab") as file:
        file.write(b"x")
    with pytest.raises(WarehouseError, match=r"is damaged .*; pull it anew"):
        reader(tmp_path).get("user_id", "ada")


@pytest.mark.parametrize(
    ("collection", "reason"),
    [
        (Collection("c", "users", ("ltv",)), "index 'ltv' of collection c is DOUBLE"),
        (Collection("c", "users", ("fax",)), "collection c names column 'fax'"),
        (Collection("c", "users", (), ("fax",)), "collection c names column 'fax'"),
    ],
)
def test_what_cannot_be_looked_up_is_refused(
    tmp_path: Path, collection: Collection, reason: str
) -> None:
    with pytest.raises(WarehouseError, match=reason):
        pulled(tmp_path, [row("ada")], collection)


TEXTS = st.sampled_from(["", " ", "a", "A", "aa", "ä", "\U0001f600", "\uffff", "1"])
VALUES = st.one_of(st.none(), TEXTS, st.text(max_size=3))


@settings(max_examples=settings().max_examples // 4, deadline=None)
@given(
    st.lists(
        st.tuples(VALUES, st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), st.integers(0, 9))
    ),
    st.lists(VALUES),
)
def test_it_is_a_dictionary(rows: list[tuple[Any, Any, int]], others: list[str | None]) -> None:
    stored = [row(f"u{n}", email, shop, ltv) for n, (email, shop, ltv) in enumerate(rows)]
    expected: dict[str, dict[Any, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for one in stored:
        for index in ("user_id", "email", "shop"):
            if one[index] is not None:
                expected[index][one[index]].append(one)
    with tempfile.TemporaryDirectory() as folder:
        pulled(Path(folder), stored)
        found = reader(Path(folder))
        for index, records in expected.items():
            asked = [*records, *(other for other in others if other is not None)]
            assert found.get_many(index, asked) == [records.get(one, []) for one in asked]
