"""A key group in the flow: what it emits, what it stores, and what it is restored with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from audience_dsl.definitions import ParentPlan
from dataflows.chains import DamagedLog, Position
from dataflows.checkpoints import Checkpoints, StoredGroup
from dataflows.evaluation import Audiences, KeyGroupLogic
from dataflows.seals import BrokenSeal
from dataflows.state_log import StateLog
from dataflows.steps import GroupStep, GroupTransitions
from engine.hashing import groups_of, stable_hashes
from engine.texts import Texts
from project.folder import LoadedProject, load_project
from tests.cli.projects import write_project
from tests.engine.columns import Out, Seen, inputs_of, read
from warehouse.pull import pull
from warehouse.snapshot import WarehouseSnapshot

SECOND = 1_000_000


def group_of(user: str) -> int:
    return int(groups_of(stable_hashes(Texts.of([user])))[0])


GROUP = group_of("u1")


class Warehouse:
    """A project whose warehouse changes between pulls."""

    def __init__(self, root: Path) -> None:
        loading = load_project(write_project(root), {})
        assert loading.loaded is not None
        self.loaded: LoadedProject = loading.loaded
        self.plan: ParentPlan = self.loaded.project.plans["users"]

    def pull(self, users: str, at: int) -> WarehouseSnapshot:
        (self.loaded.root / "users.csv").write_text("user_id,ltv\n" + users)
        return pull(self.loaded.root, None, self.plan, at)

    def audiences(
        self, snapshot: WarehouseSnapshot, *, live: bool = True, in_log: bool = False
    ) -> Audiences:
        checkpoints = Checkpoints(StateLog(self.loaded.root / "state")) if in_log else None
        return Audiences(self.loaded.project.plans, {"users": snapshot}, live, checkpoints)

    def read(self, emitted: Iterator[GroupTransitions] | list[GroupTransitions]) -> list[Out]:
        return read(self.plan.plan, *(one.transitions for one in emitted))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "project")


def step(tick: int, *events: Seen, force_at: int | None = None) -> GroupStep:
    return GroupStep("users", GROUP, force_at, inputs_of(events) if events else None, tick)


def test_a_live_group_speaks_only_of_what_happened(warehouse: Warehouse) -> None:
    snapshot = warehouse.pull("u1,20\n", 0)
    logic = KeyGroupLogic(warehouse.audiences(snapshot), None)
    first, retained = logic.on_batch([step(SECOND, force_at=SECOND)])
    assert not retained
    assert warehouse.read(list(first)) == [Out("u1", "quiet", SECOND, 1)]
    assert logic.on_batch([step(2 * SECOND), step(3 * SECOND)])[0] == []


def test_a_group_of_a_backtest_answers_every_step_and_stores_nothing(warehouse: Warehouse) -> None:
    snapshot = warehouse.pull("u1,20\n", 0)
    logic = KeyGroupLogic(warehouse.audiences(snapshot, live=False), None)
    emitted, _ = logic.on_batch([step(1, force_at=1), step(2), step(3)])
    assert [one.tick for one in emitted] == [1, 2, 3]
    assert logic.snapshot() == b""


def state_of(logic: KeyGroupLogic) -> Position | bytes:
    return StoredGroup.from_bytes(logic.snapshot()).state


@pytest.mark.parametrize("in_log", [True, False])
def test_what_is_stored_of_the_state_changes_only_with_the_group(
    warehouse: Warehouse, in_log: bool
) -> None:
    audiences = warehouse.audiences(warehouse.pull("u1,20\n", 0), in_log=in_log)
    logic = KeyGroupLogic(audiences, None)
    logic.on_batch([step(SECOND, force_at=SECOND)])
    stored = state_of(logic)
    logic.on_batch([step(2 * SECOND)])
    assert state_of(logic) == stored
    logic.on_batch([step(3 * SECOND, Seen("u1", 3 * SECOND))])
    changed = state_of(logic)
    assert changed != stored
    logic.on_batch([step(9 * SECOND)])  # what is due happens
    assert state_of(logic) != changed


@pytest.mark.parametrize("in_log", [True, False])
def test_the_clock_of_a_group_in_which_nothing_happens_is_stored_as_well(
    warehouse: Warehouse, in_log: bool
) -> None:
    audiences = warehouse.audiences(warehouse.pull("u1,20\n", 0), in_log=in_log)
    logic = KeyGroupLogic(audiences, None)
    logic.on_batch([step(SECOND, force_at=SECOND)])
    logic.snapshot()
    logic.on_batch([step(5 * SECOND)])
    restored = KeyGroupLogic(audiences, logic.snapshot())
    emitted, _ = restored.on_batch([step(4 * SECOND, Seen("u1", 4 * SECOND, (0, 1)))])
    assert warehouse.read(list(emitted)) == [Out("u1", "quiet", 5 * SECOND, 2)]


def test_a_group_that_no_step_has_reached_is_stored_as_it_was(warehouse: Warehouse) -> None:
    audiences = warehouse.audiences(warehouse.pull("u1,20\n", 0), in_log=True)
    logic = KeyGroupLogic(audiences, None)
    logic.on_batch([step(SECOND, force_at=SECOND)])
    stored = logic.snapshot()
    assert KeyGroupLogic(audiences, stored).snapshot() == stored


def test_the_same_snapshot_does_not_take_force_again(warehouse: Warehouse) -> None:
    audiences = warehouse.audiences(warehouse.pull("u1,20\n", 0))
    logic = KeyGroupLogic(audiences, None)
    logic.on_batch([step(SECOND, force_at=SECOND)])
    restored = KeyGroupLogic(audiences, logic.snapshot())
    assert restored.on_batch([step(5 * SECOND, force_at=5 * SECOND)])[0] == []


def test_a_new_snapshot_moves_those_whose_rows_have_changed(warehouse: Warehouse) -> None:
    old = warehouse.pull("u1,20\n", 0)
    logic = KeyGroupLogic(warehouse.audiences(old), None)
    logic.on_batch(
        [step(SECOND, force_at=SECOND), step(SECOND, Seen("u1", SECOND), Seen("u1", SECOND))]
    )
    new = warehouse.pull("u1,5\n", SECOND)
    restored = KeyGroupLogic(warehouse.audiences(new), logic.snapshot())
    emitted, _ = restored.on_batch([step(2 * SECOND, force_at=2 * SECOND)])
    assert warehouse.read(list(emitted)) == [Out("u1", "keen", 2 * SECOND, 2)]
    assert emitted[0].pull == new.version


@pytest.mark.parametrize("kept", [True, False])
def test_until_the_new_snapshot_takes_force_new_users_are_looked_up_in_the_stored_one(
    warehouse: Warehouse, kept: bool
) -> None:
    stranger = next(name for n in range(9999) if group_of(name := f"s{n}") == GROUP)
    old = warehouse.pull("u1,20\n", 0)
    logic = KeyGroupLogic(warehouse.audiences(old), None)
    logic.on_batch([step(SECOND, force_at=SECOND)])
    new = warehouse.pull(f"u1,20\n{stranger},20\n", SECOND)
    if not kept:
        shutil.rmtree(old.folder)
    restored = KeyGroupLogic(warehouse.audiences(new), logic.snapshot())
    at = 2 * SECOND
    emitted, _ = restored.on_batch(
        [step(at, Seen(stranger, at), Seen(stranger, at)), step(at + 1, force_at=at + 1)]
    )
    keen = [one for one in warehouse.read(list(emitted)) if one.audience == "keen"]
    assert keen == [Out(stranger, "keen", at + 1 if kept else at, 1)]


def test_damaged_state_is_noticed(warehouse: Warehouse) -> None:
    audiences = warehouse.audiences(warehouse.pull("u1,20\n", 0))
    logic = KeyGroupLogic(audiences, None)
    logic.on_batch([step(SECOND, force_at=SECOND)])
    stored = bytearray(logic.snapshot())
    stored[-1] ^= 1
    with pytest.raises(BrokenSeal):
        KeyGroupLogic(audiences, bytes(stored)).on_batch([step(2 * SECOND)])


def test_state_in_a_log_needs_the_log(warehouse: Warehouse) -> None:
    snapshot = warehouse.pull("u1,20\n", 0)
    logic = KeyGroupLogic(warehouse.audiences(snapshot, in_log=True), None)
    logic.on_batch([step(SECOND, force_at=SECOND)])
    with pytest.raises(DamagedLog):
        KeyGroupLogic(warehouse.audiences(snapshot), logic.snapshot()).on_batch([step(2 * SECOND)])
