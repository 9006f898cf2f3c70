"""Pulls from beginning to end: what is checked, what is written down, and what is read."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_dsl.definitions import (
    ColumnType,
    Comparison,
    ModelSource,
    ParentPlan,
    PullRules,
    RelatedComparison,
    RelatedModel,
    Settings,
    WarehousePredicate,
)
from tests.warehouse.plans import AT, DAY, model, plan
from warehouse.errors import WarehouseError
from warehouse.history import Extent, Status, Trigger
from warehouse.patterns import rearranged
from warehouse.refresh import Request, history_of, refresh, roll_back
from warehouse.snapshot import WarehouseSnapshot, current

WAREHOUSE = Settings("warehouse", "duckdb", {"path": "shop.duckdb"})
USERS = ModelSource(table="users")
FREE = Comparison("plan", "equals", "free", ColumnType.STRING)
RICH = Comparison("ltv", "greater_than", 50, ColumnType.NUMBER)
RECENT = Comparison("seen", "within_last", 3 * DAY, ColumnType.TIMESTAMP)
SCHEDULED = Request(Trigger.SCHEDULED)
ON_DEMAND = Request(Trigger.ON_DEMAND)
DEFINITION = Request(Trigger.DEFINITION)

Shop = Callable[[str], Path]
Rows = dict[int, tuple[bool, int]]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Runs statements in the project's warehouse, which has 100 users; gives its folder."""
    path = str(tmp_path / "shop.duckdb")

    def run(statements: str) -> Path:
        with duckdb.connect(path) as connection:
            connection.execute(statements)
        return tmp_path

    run(
        "CREATE TABLE users AS SELECT 'u' || i AS user_id, if(i < 10, 'free', 'pro') AS plan, "
        "i AS ltv, TIMESTAMP '2026-02-20' AS seen FROM range(100) t(i)"
    )
    return run


def users_with(
    snapshot: WarehouseSnapshot, predicate: WarehousePredicate, of: ParentPlan
) -> set[str]:
    view = snapshot.serving(of.predicates).snapshot
    place = of.predicates.index(predicate)
    bits = rearranged(view.patterns, [place])[view.pattern_of, 0]
    return {view.users.text(row) for row in np.flatnonzero(bits).tolist()}


def in_force(root: Path) -> WarehouseSnapshot:
    found = current(root, "users")
    assert found is not None
    return found


def with_rules(of: ParentPlan, **rules: object) -> ParentPlan:
    return replace(of, parent_model=replace(of.parent_model, rules=PullRules(**rules)))  # type: ignore[arg-type]


ASKED = plan(model(USERS), FREE, RICH)


def test_pulls_are_written_down(shop: Shop) -> None:
    root = shop("SELECT 1")
    refresh(root, WAREHOUSE, ASKED, AT, SCHEDULED)
    shop("UPDATE users SET plan = 'free' WHERE ltv = 50; DELETE FROM users WHERE ltv = 99")
    shop("INSERT INTO users VALUES ('new', 'pro', 1, NULL)")
    refresh(root, WAREHOUSE, ASKED, AT + DAY, Request(Trigger.ON_DEMAND))
    first, second = history_of(root, ASKED.parent_model).pulls()
    assert (first.status, first.trigger, first.extent) == ("succeeded", "scheduled", "full")
    assert (first.rows, first.moved, first.pull_date) == (100, 100, AT)
    assert (second.trigger, second.rows, second.moved) == ("on_demand", 100, 3)
    assert first.duration is not None
    assert second.version == in_force(root).version


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("DELETE FROM users WHERE ltv < 30", "30.0% fewer, and `pull: max_shrink` is 20%"),
        ("DELETE FROM users", "it has no rows, where there were 100"),
        ("INSERT INTO users SELECT * FROM users", "is not unique"),
        ("UPDATE users SET user_id = NULL WHERE ltv = 1", "1 of 100 rows have no value"),
        ("ALTER TABLE users DROP ltv", "there is no column 'ltv'"),
        ("ALTER TABLE users ALTER ltv TYPE TIMESTAMP USING NULL", "cannot be read as number"),
        (
            "ALTER TABLE users ALTER ltv TYPE VARCHAR USING if(ltv < 50, 'x', ltv::VARCHAR)",
            "50 values of column 'ltv' do not read as number, where 0 did not",
        ),
        ("DROP TABLE users", "users"),
    ],
)
def test_what_cannot_be_meant_is_refused(shop: Shop, harm: str, reason: str) -> None:
    root = shop("SELECT 1")
    first = refresh(root, WAREHOUSE, ASKED, AT, SCHEDULED)
    shop(harm)
    with pytest.raises(WarehouseError, match="parent model users: ") as refused:
        refresh(root, WAREHOUSE, ASKED, AT + DAY, SCHEDULED)
    assert reason in str(refused.value)
    assert in_force(root).version == first.version
    failed = history_of(root, ASKED.parent_model).pulls()[-1]
    assert failed.status is Status.FAILED
    assert failed.error == str(refused.value)
    names = {path.name for path in in_force(root).folder.parent.iterdir()}
    assert names == {first.version, "current", "lock", "pulls.jsonl"}


def test_a_shrink_that_is_meant(shop: Shop) -> None:
    root = shop("SELECT 1")
    refresh(root, WAREHOUSE, ASKED, AT, SCHEDULED)
    shop("DELETE FROM users WHERE ltv < 20")
    assert refresh(root, WAREHOUSE, ASKED, AT, SCHEDULED).rows == 80  # not by more than 20 %
    shop("DELETE FROM users WHERE ltv < 50")
    with pytest.raises(WarehouseError, match="usher pull users --allow-shrink"):
        refresh(root, WAREHOUSE, ASKED, AT, SCHEDULED)
    assert refresh(root, WAREHOUSE, with_rules(ASKED, max_shrink=0.4), AT, SCHEDULED).rows == 50
    shop("DELETE FROM users")
    allowed = Request(Trigger.ON_DEMAND, allow_shrink=True)
    assert refresh(root, WAREHOUSE, ASKED, AT, allowed).rows == 0
    assert refresh(root, WAREHOUSE, ASKED, AT, SCHEDULED).rows == 0


def test_so_many_pulls_are_remembered(shop: Shop) -> None:
    root, kept = shop("SELECT 1"), with_rules(ASKED, history=2)
    for day in range(4):
        refresh(root, WAREHOUSE, kept, AT + day * DAY, SCHEDULED)
    pulls = history_of(root, kept.parent_model).pulls()
    assert [one.pull_date for one in pulls] == [AT + 2 * DAY, AT + 3 * DAY]


def test_returning_to_the_version_before(shop: Shop) -> None:
    root = shop("SELECT 1")
    with pytest.raises(WarehouseError, match="no earlier version"):
        roll_back(root, ASKED, AT)
    first = refresh(root, WAREHOUSE, ASKED, AT, SCHEDULED)
    with pytest.raises(WarehouseError, match="no earlier version"):
        roll_back(root, ASKED, AT)
    shop("UPDATE users SET plan = 'free' WHERE ltv < 40")
    second = refresh(root, WAREHOUSE, ASKED, AT + DAY, SCHEDULED)
    step = roll_back(root, ASKED, AT + DAY + 1)
    assert (step.version, step.extent, step.moved) == (first.version, Extent.ROLLBACK, 30)
    assert in_force(root).version == first.version
    assert history_of(root, ASKED.parent_model).pulls()[-1] == step
    with pytest.raises(WarehouseError, match="no earlier version"):
        roll_back(root, ASKED, AT + DAY + 2)
    third = refresh(root, WAREHOUSE, ASKED, AT + 2 * DAY, SCHEDULED)
    assert third.moved == 30
    assert roll_back(root, ASKED, AT + 3 * DAY).version == second.version


def test_nobody_returns_to_other_definitions(shop: Shop) -> None:
    root = shop("SELECT 1")
    refresh(root, WAREHOUSE, plan(model(USERS), FREE), AT, SCHEDULED)
    refresh(root, WAREHOUSE, ASKED, AT + DAY, SCHEDULED)
    with pytest.raises(WarehouseError, match="pulled with other definitions"):
        roll_back(root, ASKED, AT + DAY)


def test_new_predicates_are_answered_from_the_attributes(shop: Shop) -> None:
    root, before = shop("SELECT 1"), plan(model(USERS), FREE)
    refresh(root, WAREHOUSE, before, AT, SCHEDULED)
    shop("UPDATE users SET plan = 'free', ltv = 99")  # since then
    after = plan(model(USERS), RECENT, RICH, FREE)
    assert not in_force(root).serves(after)
    pulled = refresh(root, WAREHOUSE, after, AT + 60 * DAY, DEFINITION)
    assert (pulled.extent, pulled.rows, pulled.moved) == (Extent.PARTIAL, 100, 0)
    found = in_force(root)
    assert users_with(found, FREE, after) == {f"u{n}" for n in range(10)}
    assert users_with(found, RICH, after) == {f"u{n}" for n in range(51, 100)}
    assert users_with(found, RECENT, after) == set()
    assert found.serves(before)
    assert users_with(found, FREE, before) == {f"u{n}" for n in range(10)}
    assert (found.taken_at, found.manifest.read_at) == (AT, AT)


def test_bits_of_related_rows_stay_while_others_are_added(shop: Shop) -> None:
    root = shop("CREATE TABLE orders AS SELECT 'u' || i AS user_id FROM range(7) t(i)")
    orders = RelatedModel("orders", ModelSource(table="orders"), "users", "user_id")
    ordered = RelatedComparison(orders, "count", "", None, "at_least", 1)
    before = replace(ASKED, predicates=(ordered,))
    refresh(root, WAREHOUSE, before, AT, SCHEDULED)
    shop("DROP TABLE orders")
    after = replace(ASKED, predicates=(FREE, ordered))
    pulled = refresh(root, WAREHOUSE, after, AT + DAY, DEFINITION)
    assert (pulled.extent, pulled.moved) == (Extent.PARTIAL, 0)
    assert users_with(in_force(root), ordered, after) == {f"u{n}" for n in range(7)}
    assert users_with(in_force(root), FREE, after) == {f"u{n}" for n in range(10)}


rows_of = st.dictionaries(st.integers(0, 30), st.tuples(st.booleans(), st.integers(0, 2)))


@settings(max_examples=15, deadline=None)
@given(rows_of, rows_of)
def test_users_that_moved_are_counted(before: Rows, after: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for rows in (before, after):
            lines = "".join(
                f"u{user},{'free' if free else 'pro'},{60 * rich}\n"
                for user, (free, rich) in rows.items()
            )
            (root / "users.csv").write_text("user_id,plan,ltv\n" + lines)
            types = {"plan": ColumnType.STRING, "ltv": ColumnType.NUMBER}
            asked = plan(model(ModelSource(csv="users.csv"), types), FREE, RICH)
            request = Request(Trigger.SCHEDULED, allow_shrink=True)
            pulled = refresh(root, None, asked, AT, request)
    answers = [
        {user: (free, 60 * rich > 50) for user, (free, rich) in rows.items()}
        for rows in (before, after)
    ]
    users = before.keys() | after.keys()
    assert pulled.moved == sum(answers[0].get(user) != answers[1].get(user) for user in users)


@pytest.mark.parametrize(
    "after",
    [
        plan(model(USERS), Comparison("fresh", "equals", "x", ColumnType.STRING)),
        plan(model(USERS), Comparison("ltv", "equals", "5", ColumnType.STRING)),
        plan(model(ModelSource(query="SELECT * FROM users")), FREE),
    ],
)
def test_what_the_attributes_do_not_have_is_read(shop: Shop, after: ParentPlan) -> None:
    root = shop("SELECT 1")
    refresh(root, WAREHOUSE, ASKED, AT, SCHEDULED)
    shop("ALTER TABLE users ADD fresh VARCHAR")
    assert not in_force(root).serves(after)
    assert refresh(root, WAREHOUSE, after, AT + DAY, DEFINITION).extent is Extent.FULL
    assert in_force(root).serves(after)


def test_only_changed_rows_are_read_on_demand(shop: Shop) -> None:
    root, asked = shop("SELECT 1"), with_rules(ASKED, updated_at="seen")
    refresh(root, WAREHOUSE, asked, AT, SCHEDULED)
    shop("UPDATE users SET ltv = 0 WHERE ltv = 99")  # nobody says so: not seen
    shop("UPDATE users SET plan = 'free', seen = '2026-03-01' WHERE ltv = 60")
    shop("DELETE FROM users WHERE ltv = 61")
    shop("INSERT INTO users VALUES ('new', 'free', 70, '2026-03-01'), ('none', 'free', 1, NULL)")
    shop("UPDATE users SET seen = '2026-01-01' WHERE ltv = 0 AND user_id = 'u99'")
    pulled = refresh(root, WAREHOUSE, asked, AT + DAY, ON_DEMAND)
    assert (pulled.extent, pulled.rows, pulled.moved) == (Extent.PARTIAL, 102, 3)
    found = in_force(root)
    free = {f"u{n}" for n in range(10)} | {"u60", "new", "none"}
    assert users_with(found, FREE, asked) == free
    assert "u99" in users_with(found, RICH, asked)
    assert (found.taken_at, found.manifest.read_at) == (AT + DAY, AT)
    # A scheduled pull sees everything, and so does one that is asked to.
    everything = Request(Trigger.ON_DEMAND, full=True)
    pulled = refresh(root, WAREHOUSE, asked, AT + DAY, everything)
    assert (pulled.extent, pulled.rows, pulled.moved) == (Extent.FULL, 101, 2)


def test_changed_rows_with_other_columns_are_no_partial_pull(shop: Shop) -> None:
    root, asked = shop("SELECT 1"), with_rules(ASKED, updated_at="seen")
    refresh(root, WAREHOUSE, asked, AT, SCHEDULED)
    shop("ALTER TABLE users ADD fresh VARCHAR")
    assert refresh(root, WAREHOUSE, asked, AT + DAY, ON_DEMAND).extent is Extent.FULL


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_snapshot_serves_any_choice_of_its_predicates(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 140))
    words = (count + 63) // 64
    rows = data.draw(st.lists(st.integers(0, (1 << count) - 1), max_size=5))
    patterns = np.array(
        [[bits >> 64 * word & (1 << 64) - 1 for word in range(words)] for bits in rows],
        dtype=np.uint64,
    ).reshape(len(rows), words)
    places = data.draw(st.lists(st.integers(0, count - 1), max_size=140, unique=True))
    found = rearranged(patterns.view(np.int64), places).view(np.uint64)
    assert found.shape == (len(rows), (len(places) + 63) // 64)
    for bits, words_found in zip(rows, found.tolist(), strict=True):
        wanted = [bits >> place & 1 for place in places]
        assert [words_found[i // 64] >> i % 64 & 1 for i in range(len(places))] == wanted


def test_a_pull_that_has_died_is_found(shop: Shop) -> None:
    root = shop("SELECT 1")
    first = refresh(root, WAREHOUSE, ASKED, AT, SCHEDULED)
    child = os.fork()
    if child == 0:  # dies while the rows are read
        import warehouse.refresh as dying

        dying._write = lambda *_: os._exit(9)  # type: ignore[assignment]
        refresh(root, WAREHOUSE, ASKED, AT + DAY, SCHEDULED)
    os.waitpid(child, 0)
    history = history_of(root, ASKED.parent_model)
    died = history.pulls()[-1]
    assert (died.status, died.duration) == (Status.FAILED, None)
    assert died.error == "it was ended before it had finished"
    assert in_force(root).version == first.version
    refresh(root, WAREHOUSE, ASKED, AT + DAY, SCHEDULED)
    assert [one.status for one in history.pulls()] == ["succeeded", "failed", "succeeded"]
    assert not list(in_force(root).folder.parent.glob(".pulling*"))
