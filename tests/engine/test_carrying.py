"""State under other definitions, step by step; random changes are in `tests/properties`."""

from __future__ import annotations

import pytest

from engine.group import KeyGroup, Member
from engine.inputs import Snapshot
from engine.plan import Any, Audience, Condition, Plan, Tree
from engine.transitions import Cause
from tests.engine.columns import (
    HOUR,
    MINUTE,
    SECOND,
    MemberOf,
    Not,
    Out,
    Performed,
    Predicate,
    Seen,
    inputs_of,
    read,
    snapshot_of,
)


def views(minimum: int, window: int = MINUTE, maximum: int | None = None) -> Condition:
    return Condition(f"views {minimum} to {maximum} {window}", window, minimum, maximum, "views")


def orders(minimum: int, window: int = HOUR) -> Condition:
    return Condition(f"orders {minimum} {window}", window, minimum, None, "orders")


def plan_of(
    conditions: list[Condition], audiences: dict[str, tuple[str, Tree]], *predicates: str
) -> Plan:
    """Audiences are (version, tree)."""
    built = [Audience(key, version, tree) for key, (version, tree) in audiences.items()]
    return Plan.build("users", conditions, [False] * len(predicates), built, predicates)


def carried(group: KeyGroup, plan: Plan, snapshot: Snapshot | None = None) -> KeyGroup:
    return KeyGroup.load(plan, group.dump(), snapshot=snapshot or snapshot_of(plan, {}))


BEFORE = plan_of(
    [orders(1), views(2)],
    {"buyers": ("1", Performed(0)), "keen": ("1", Performed(1))},
)


def a_group() -> KeyGroup:
    group = KeyGroup(BEFORE)
    group.take_force(snapshot_of(BEFORE, {}), 0)
    group.apply(
        inputs_of(
            [
                Seen("u", 10 * SECOND, (1,), id="a"),
                Seen("u", 20 * SECOND, (1,), id="b"),
                Seen("v", 30 * SECOND, (0,), id="c"),
            ]
        )
    )
    return group


def test_only_what_has_changed_is_told_and_at_the_instant_of_the_change() -> None:
    plan = plan_of(
        [views(1), views(2), orders(1)],
        {
            "keen": ("1", Performed(1)),
            "buyers": ("2", Not(Performed(2))),
            "present": ("1", Performed(0)),
        },
    )
    group = carried(a_group(), plan)
    assert group.held == ["buyers", "present"]
    assert group.members() == a_group().members()
    # Kept audiences go on at once; the others wait.
    before = group.apply(inputs_of([Seen("w", 35 * SECOND, (0, 1), id="d")]))
    assert read(plan, before, group.advance(40 * SECOND)) == []
    changed = group.take_force(snapshot_of(plan, {}), 40 * SECOND)
    assert sorted(read(plan, changed)) == [
        Out("u", "buyers", 40 * SECOND, 1),
        Out("u", "present", 40 * SECOND, 1),
        Out("v", "buyers", 40 * SECOND, 2),
        Out("w", "buyers", 40 * SECOND, 1),
        Out("w", "present", 40 * SECOND, 1),
    ]
    assert set(changed.causes.tolist()) == {Cause.DEFINITION_CHANGED}
    assert group.held == []
    later = group.advance(71 * SECOND)
    assert read(plan, later) == [Out("u", "keen", 70 * SECOND, 2)]


def test_what_fell_due_before_the_change_happens_at_its_instant() -> None:
    plan = plan_of([views(2)], {"keen": ("1", Performed(0)), "new": ("1", Performed(0))})
    group = carried(a_group(), plan)
    changed = group.take_force(snapshot_of(plan, {}), 3 * HOUR)
    assert read(plan, changed) == [Out("u", "keen", 70 * SECOND, 2)]
    assert changed.causes.tolist() == [Cause.WINDOW_EXPIRED]


def test_an_audience_that_the_plan_does_not_know_is_forgotten_in_silence() -> None:
    plan = plan_of([views(2)], {"keen": ("1", Performed(0))})
    group = carried(a_group(), plan)
    assert group.held == []
    assert group.members() == [Member("u", "keen", 1)]
    assert read(plan, group.advance(9 * HOUR)) == [Out("u", "keen", 70 * SECOND, 2)]


def test_an_audience_that_nobody_can_be_in_exits_its_members() -> None:
    plan = plan_of([views(2)], {"keen": ("1", Performed(0)), "buyers": ("", Any(()))})
    changed = carried(a_group(), plan).take_force(snapshot_of(plan, {}), MINUTE)
    assert read(plan, changed) == [Out("v", "buyers", MINUTE, 2)]
    assert changed.causes.tolist() == [Cause.DEFINITION_CHANGED]


def test_an_audience_changes_with_one_that_it_refers_to() -> None:
    before = plan_of([views(1)], {"a": ("1", Performed(0)), "b": ("1", Not(MemberOf("a")))}, "rich")
    after = plan_of([views(1)], {"a": ("2", Predicate(0)), "b": ("1", Not(MemberOf("a")))}, "rich")
    group = KeyGroup(before)
    group.take_force(snapshot_of(before, {"u": [True]}), 0)
    after_change = carried(group, after)
    assert after_change.held == ["a", "b"]
    changed = after_change.take_force(snapshot_of(after, {"u": [True]}), SECOND)
    assert read(after, changed) == [Out("u", "a", SECOND, 1), Out("u", "b", SECOND, 2)]


def test_predicates_are_found_by_their_meaning() -> None:
    before = plan_of(
        [views(1)], {"rich": ("1", Predicate(1)), "seen": ("1", Performed(0))}, "new", "rich"
    )
    names = [*(f"p{number}" for number in range(70)), "rich"]
    after = plan_of([views(1)], {"rich": ("1", Predicate(70))}, *names)
    group = KeyGroup(before)
    group.take_force(snapshot_of(before, {"u": [False, True], "v": [True, False]}), 0)
    group.apply(inputs_of([Seen("v", SECOND)]))
    restored = carried(group, after)
    assert restored.held == []
    rows = {"u": [False] * 71, "v": [False] * 70 + [True]}
    changed = restored.take_force(snapshot_of(after, rows), MINUTE)
    assert read(after, changed) == [Out("u", "rich", MINUTE, 2), Out("v", "rich", MINUTE, 1)]
    assert set(changed.causes.tolist()) == {Cause.WAREHOUSE_PULL}


@pytest.mark.parametrize(
    ("condition", "exact_from"),
    [
        (views(2), None),
        (views(1), None),
        (views(2, SECOND), None),
        (views(1, maximum=1), None),
        # Longer than anything was remembered: what was missed lies before the minute.
        (views(2, 2 * MINUTE), 30 * SECOND + MINUTE),
        # More than was remembered: as if nothing had been.
        (views(3), 30 * SECOND + MINUTE),
        (views(3, HOUR), 30 * SECOND + HOUR),
        (orders(1, 2 * HOUR), 30 * SECOND + HOUR),
        (Condition("other", HOUR, 1, None, "other"), 30 * SECOND + HOUR),
    ],
    ids=lambda one: getattr(one, "key", ""),
)
def test_a_condition_is_warming_until_nothing_that_was_missed_can_matter(
    condition: Condition, exact_from: int | None
) -> None:
    group = carried(a_group(), plan_of([condition], {"a": ("1", Performed(0))}))
    assert group.warming == ({} if exact_from is None else {condition.key: exact_from})
    if exact_from is not None:
        restored = KeyGroup.load(group.plan, group.dump())
        assert restored.warming == group.warming
        restored.advance(exact_from - 1)
        assert restored.warming == group.warming
        restored.advance(exact_from)
        assert restored.warming == {}


def test_a_condition_that_is_still_warming_stays_so_through_another_change() -> None:
    longer = plan_of([views(2, HOUR)], {"a": ("1", Performed(0))})
    group = carried(a_group(), longer)
    other = plan_of([orders(1), views(2, HOUR), views(2, 90 * MINUTE)], {"a": ("1", Performed(1))})
    group.advance(10 * MINUTE)
    again = carried(group, other)
    warm = 30 * SECOND + HOUR - MINUTE
    assert again.warming == {
        orders(1).key: 10 * MINUTE + HOUR,
        views(2, HOUR).key: warm,
        views(2, 90 * MINUTE).key: warm + 30 * MINUTE,
    }


def test_a_clock_that_was_not_dumped_counts() -> None:
    plan = plan_of([views(3)], {"a": ("1", Performed(0))})
    group = KeyGroup.load(plan, a_group().dump(), clock=40 * SECOND)
    assert group.warming == {views(3).key: 100 * SECOND}


def test_what_waits_goes_on_waiting_after_a_restart_and_after_another_change() -> None:
    plan = plan_of([views(2)], {"keen": ("2", Not(Performed(0))), "new": ("1", Performed(0))})
    group = carried(a_group(), plan)
    restarted = KeyGroup.load(plan, group.dump())
    assert restarted.held == ["keen", "new"]
    restarted.apply(inputs_of([Seen("u", 40 * SECOND, (0,), id="x")]))
    chained = KeyGroup.load(plan, restarted.dump(), restarted.dump_changes())
    assert chained.held == ["keen", "new"]
    more = plan_of(
        [views(1), views(2)],
        {"keen": ("2", Not(Performed(1))), "new": ("1", Performed(1)), "x": ("1", Performed(0))},
    )
    again = carried(chained, more)
    assert again.held == ["keen", "new", "x"]
    changed = again.take_force(snapshot_of(more, {}), 50 * SECOND)
    assert sorted(read(more, changed)) == [
        Out("u", "keen", 50 * SECOND, 2),
        Out("u", "new", 50 * SECOND, 1),
        Out("u", "x", 50 * SECOND, 1),
        Out("v", "keen", 50 * SECOND, 1),
    ]


def test_carried_state_is_to_be_dumped_as_a_whole() -> None:
    group = carried(a_group(), plan_of([views(2)], {"keen": ("1", Performed(0))}))
    assert not group.has_dump
    with pytest.raises(ValueError, match="complete dump"):
        group.dump_changes()
    group.dump()
    assert group.has_dump


def test_before_the_first_snapshot_nothing_has_to_wait() -> None:
    group = KeyGroup(BEFORE)
    group.apply(inputs_of([Seen("u", SECOND, (1,), id="a"), Seen("u", SECOND, (1,), id="b")]))
    plan = plan_of([views(2)], {"other": ("1", Performed(0))})
    restored = carried(group, plan)
    assert restored.held == []
    populated = restored.take_force(snapshot_of(plan, {}), 2 * SECOND)
    assert read(plan, populated) == [Out("u", "other", 2 * SECOND, 1)]
    assert populated.causes.tolist() == [Cause.INITIAL]
