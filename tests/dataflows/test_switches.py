"""What is stored of switches: when they were, and what waits for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataflows import holding
from dataflows.seals import BrokenSeal
from dataflows.switches import Switch, SwitchJournal, after
from engine.inputs import Inputs
from engine.plan import Plan
from tests.engine.columns import Performed, Seen, inputs_of, plan_of

FIRST, SECOND = Switch(5, {"users": "v1"}), Switch(9, {"users": "v2", "accounts": "w"})


def test_switches_are_read_back_by_their_instants(tmp_path: Path) -> None:
    journal = SwitchJournal(tmp_path)
    assert journal.read() == []
    journal.write([SECOND, FIRST])
    assert SwitchJournal(tmp_path).read() == [FIRST, SECOND]
    assert after(journal.read(), 9) == (SECOND,)
    journal.forget()
    journal.forget()
    assert journal.read() == []


def test_a_damaged_journal_is_noticed(tmp_path: Path) -> None:
    journal = SwitchJournal(tmp_path)
    journal.write([FIRST])
    journal.path.write_bytes(journal.path.read_bytes()[:-1])
    with pytest.raises(BrokenSeal):
        journal.read()


def plan(*of: str) -> Plan:
    conditions = [(10 + number, 1, None) for number in range(len(of))]
    return plan_of({"a": Performed(0)}, conditions, of=of)


def counted(inputs: Inputs) -> list[list[int]]:
    starts, items = inputs.sets
    return [items[starts[one] : starts[one + 1]].tolist() for one in inputs.condition_sets.tolist()]


def test_what_waited_is_read_back(tmp_path: Path) -> None:
    plans = {"users": plan("x", "y")}
    held = [{"users": inputs_of([Seen("u", 3, (0,)), Seen("v", 4, (0, 1))])}]
    assert holding.to_bytes([], plans) == b""
    assert holding.from_bytes(b"", plans) == []
    stored = holding.to_bytes(held, plans)
    holding.check(stored)
    (found,) = holding.from_bytes(stored, plans)
    assert found["users"].users.tolist() == ["u", "v"]
    assert counted(found["users"]) == [[0], [0, 1]]
    for damaged in (stored[:-1], stored[:9]):
        with pytest.raises(BrokenSeal):
            holding.from_bytes(damaged, plans)


def test_under_other_definitions_it_counts_for_those_of_the_same_events() -> None:
    held = [{"users": inputs_of([Seen("u", 3, (0,)), Seen("v", 4, (0, 1))])}]
    stored = holding.to_bytes(held, {"users": plan("x", "y")})
    (found,) = holding.from_bytes(stored, {"users": plan("z", "y", "y", "x")})
    assert counted(found["users"]) == [[3], [1, 2, 3]]
    assert holding.from_bytes(stored, {}) == [{}]
