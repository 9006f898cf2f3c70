"""State bytes: whole, as differences, damaged, and somebody else's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec import DamagedState, ForeignState
from engine.group import KeyGroup
from engine.plan import Tree
from tests.engine.columns import (
    HOUR,
    MINUTE,
    SECOND,
    Not,
    Out,
    Performed,
    Seen,
    inputs_of,
    plan_of,
    read,
    snapshot_of,
)

AUDIENCES: dict[str, Tree] = {"active": Performed(0), "quiet": Not(Performed(1))}
CONDITIONS = [(MINUTE, 2, None), (HOUR, 1, None)]
PLAN = plan_of(AUDIENCES, CONDITIONS)
NOBODY = snapshot_of(PLAN, {})


def a_group() -> KeyGroup:
    group = KeyGroup(PLAN)
    group.take_force(NOBODY, 0)
    group.apply(
        inputs_of(
            [
                *(Seen(f"u{i}", 10 * SECOND, (0, 1), id=f"a{i}") for i in range(20)),
                *(Seen(f"u{i}", 20 * SECOND, (0, 1), id=f"b{i}") for i in range(10)),
                Seen("ahead", 21 * SECOND, (0, 1), ts=9 * HOUR),
                Seen("zoë \N{GRINNING FACE}", 22 * SECOND, (1,)),
            ]
        )
    )
    return group


DUMP = a_group().dump()


def test_a_restored_group_goes_on_as_if_nothing_had_happened() -> None:
    group, restored = a_group(), KeyGroup.load(PLAN, DUMP, snapshot=NOBODY)
    more = inputs_of(
        [
            Seen("u1", 30 * SECOND, (0, 1), ts=10 * SECOND, id="a1"),
            Seen("u15", 40 * SECOND, (0, 1)),
            Seen("ahead", 50 * SECOND, (0, 1), ts=9 * HOUR, id="m30"),
            Seen("new", 51 * SECOND, (1,)),
        ]
    )
    assert restored.members() == group.members()
    assert restored.counts == group.counts
    assert read(PLAN, restored.apply(more), restored.advance(24 * HOUR)) == read(
        PLAN, group.apply(more), group.advance(24 * HOUR)
    )
    assert restored.counts == group.counts


def test_equal_states_have_equal_bytes() -> None:
    assert KeyGroup.load(PLAN, DUMP, snapshot=NOBODY).dump() == DUMP
    assert a_group().dump() == DUMP


def test_an_empty_group_survives() -> None:
    restored = KeyGroup.load(PLAN, KeyGroup(PLAN).dump())
    assert not restored.in_force
    assert restored.members() == []
    restored.take_force(NOBODY, 0)
    found = restored.apply(inputs_of([Seen("u", 1, (1,))]))
    assert len(found) == 0


def test_a_difference_carries_only_the_users_that_changed() -> None:
    group = KeyGroup(PLAN)
    group.take_force(NOBODY, 0)
    group.apply(inputs_of(Seen(f"user-{i}", SECOND, (0, 1)) for i in range(5_000)))
    whole = group.dump()
    nothing = group.dump_changes()
    group.apply(inputs_of([Seen("user-7", 2 * SECOND, (0, 1), id="x")]))
    one = group.dump_changes()
    assert len(whole) > 100 * len(one)
    assert len(one) > len(nothing)
    assert b"user-7" in one
    assert b"user-8" not in one


def test_differences_add_up_to_the_whole() -> None:
    group = KeyGroup(PLAN)
    group.take_force(NOBODY, 0)
    chain = [group.dump()]
    for step in range(12):
        second = 15 * SECOND * step
        group.apply(
            inputs_of(
                Seen(f"u{(7 * step + i) % 9}", second + i, (0, 1), id=f"{step}-{i}")
                for i in range(4)
            )
        )
        if step % 3 == 2:
            group.advance(second + 10 * SECOND)
        if step == 9:
            group.advance(second + 3 * HOUR)
        chain.append(group.dump_changes())
        restored = KeyGroup.load(PLAN, *chain, snapshot=NOBODY)
        assert restored.members() == group.members()
        assert restored.user_count == group.user_count
        assert restored.counts == group.counts
    assert read(PLAN, restored.advance(99 * HOUR)) == read(PLAN, group.advance(99 * HOUR))


def test_a_user_forgotten_and_seen_again_between_two_differences() -> None:
    plan = plan_of({"busy": Performed(0)}, [(MINUTE, 2, None)])
    nobody = snapshot_of(plan, {})
    group = KeyGroup(plan)
    group.take_force(nobody, 0)
    group.apply(inputs_of([Seen("u", SECOND, id="a"), Seen("v", SECOND, id="b")]))
    chain = [group.dump()]
    group.advance(10 * MINUTE)
    assert group.user_count == 0
    group.apply(inputs_of([Seen("u", 11 * MINUTE, id="c")]))
    chain.append(group.dump_changes())
    restored = KeyGroup.load(plan, *chain, snapshot=nobody)
    assert restored.user_count == 1
    later = [Seen("v", 11 * MINUTE + 1, id="d"), Seen("u", 11 * MINUTE + 2, id="e")]
    found = restored.apply(inputs_of(later))
    assert read(plan, found) == [Out("u", "busy", 11 * MINUTE + 2, 1)]


def test_a_difference_needs_something_to_differ_from() -> None:
    with pytest.raises(ValueError, match="complete dump"):
        a_group().dump_changes()


@given(st.integers(0, len(DUMP) - 1), st.integers(0, 7))
def test_every_flipped_bit_is_noticed(place: int, bit: int) -> None:
    damaged = bytearray(DUMP)
    damaged[place] ^= 1 << bit
    with pytest.raises(DamagedState):
        KeyGroup.load(PLAN, bytes(damaged))


@given(st.integers(0, len(DUMP) - 1))
def test_every_cut_is_noticed(length: int) -> None:
    with pytest.raises(DamagedState):
        KeyGroup.load(PLAN, DUMP[:length])


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedState):
        KeyGroup.load(PLAN, data)
    with pytest.raises(DamagedState):
        KeyGroup.load(PLAN, DUMP[:24] + data)
    with pytest.raises(DamagedState):
        KeyGroup.load(PLAN, DUMP + data + b"!")


def test_differences_in_the_wrong_order_are_refused() -> None:
    group = a_group()
    whole = group.dump()
    group.apply(inputs_of([Seen("u1", 30 * SECOND, id="x")]))
    first = group.dump_changes()
    group.apply(inputs_of([Seen("u1", 31 * SECOND, id="y")]))
    second = group.dump_changes()
    for wrong in (
        [first],
        [second, first],
        [whole, second],
        [whole, second, first],
        [whole, whole],
    ):
        with pytest.raises(DamagedState):
            KeyGroup.load(PLAN, *wrong)
    KeyGroup.load(PLAN, whole, first, second)


def test_a_difference_to_another_dump_is_refused() -> None:
    """Both are links of the right number, but not of one chain."""
    group = a_group()
    group.dump()
    group.apply(inputs_of([Seen("u1", 30 * SECOND, id="x")]))
    stale = group.dump_changes()
    group.apply(inputs_of([Seen("u2", 31 * SECOND, id="y")]))
    fresh = group.dump()
    with pytest.raises(DamagedState):
        KeyGroup.load(PLAN, fresh, stale)


def test_a_chain_goes_on_after_a_restart() -> None:
    group = a_group()
    chain = [group.dump()]
    for step in range(4):
        group.apply(inputs_of([Seen("u3", (30 + step) * SECOND, (0, 1), id=f"s{step}")]))
        chain.append(group.dump_changes())
        group = KeyGroup.load(PLAN, *chain, snapshot=NOBODY)
    plain = a_group()
    plain.apply(
        inputs_of(Seen("u3", (30 + step) * SECOND, (0, 1), id=f"s{step}") for step in range(4))
    )
    assert group.members() == plain.members()
    assert sorted(read(PLAN, group.advance(9 * HOUR))) == sorted(
        read(PLAN, plain.advance(9 * HOUR))
    )


def test_the_state_of_another_parent_models_users_is_refused() -> None:
    accounts = replace(PLAN, parent_model="accounts")
    with pytest.raises(ForeignState, match="the state is of 'users', not of 'accounts'"):
        KeyGroup.load(accounts, DUMP)


def test_the_bytes_do_not_follow_the_group() -> None:
    """Whoever stores a snapshot may do so much later."""
    group = a_group()
    data = group.dump()
    copy = bytes(bytearray(data))
    group.apply(inputs_of([Seen("u1", 30 * SECOND, id="x")]))
    group.advance(9 * HOUR)
    assert isinstance(data, bytes)
    assert data == copy


def test_a_later_snapshot_finds_restored_users() -> None:
    plan = plan_of({"free": Not(Performed(0))}, [(MINUTE, 1, None)], [])
    group = KeyGroup(plan)
    group.take_force(snapshot_of(plan, {"a": [], "b": []}), 0)
    restored = KeyGroup.load(plan, group.dump(), snapshot=snapshot_of(plan, {"a": [], "b": []}))
    found = restored.take_force(snapshot_of(plan, {"a": [], "b": [], "c": []}), SECOND)
    assert read(plan, found) == [Out("c", "free", SECOND, 1)]
    assert np.all(found.conditions == -1)
