"""Events that are recalled, step by step; random histories are in `tests/properties`."""

from __future__ import annotations

from engine.carrying import ALWAYS
from engine.group import KeyGroup, Member
from engine.transitions import Cause
from tests.engine.columns import (
    HOUR,
    MINUTE,
    SECOND,
    Not,
    Out,
    Performed,
    Seen,
    inputs_of,
    read,
    snapshot_of,
)
from tests.engine.test_carrying import BEFORE, a_group, carried, orders, plan_of, views

# "keen" stays as it is; the others look at events of the same series, further back.
AFTER = plan_of(
    [views(2), views(3, HOUR), views(1, HOUR)],
    {
        "keen": ("1", Performed(0)),
        "fans": ("1", Performed(1)),
        "absent": ("1", Not(Performed(2))),
    },
)
OLD = [
    Seen("u", 5 * SECOND, (0, 1, 2), id="o"),
    Seen("u", 10 * SECOND, (0, 1, 2), id="a"),
    Seen("u", 20 * SECOND, (0, 1, 2), id="b"),
]
KNOWN = {1: ALWAYS, 2: ALWAYS}


def a_changed_group(at: int) -> KeyGroup:
    group = carried(a_group(), AFTER)
    group.advance(at)
    group.take_force(snapshot_of(AFTER, {"u": [], "v": []}), at)
    return group


def test_nothing_is_told_before_the_end_and_the_difference_then() -> None:
    group = a_changed_group(40 * SECOND)
    assert Member("v", "absent", 1) in group.members()
    assert len(group.recall(inputs_of(OLD))) == 0
    assert len(group.recall(inputs_of([Seen("v", 15 * SECOND, (0, 1, 2), id="x")]))) == 0
    assert len(group.recall(inputs_of(OLD[:1]))) == 0  # a copy
    told = group.end_recall(KNOWN, 41 * SECOND)
    assert sorted(read(AFTER, told)) == [
        Out("u", "fans", 41 * SECOND - 1, 1),
        Out("v", "absent", 41 * SECOND - 1, 2),
    ]
    assert set(told.causes.tolist()) == {Cause.DEFINITION_CHANGED}
    assert group.warming == {}


def test_what_ages_out_at_the_very_instant_of_the_clock_is_left_to_happen() -> None:
    group = a_changed_group(40 * SECOND)
    group.advance(70 * SECOND)
    assert len(group.recall(inputs_of(OLD))) == 0
    later = group.advance(71 * SECOND)
    assert read(AFTER, later) == [Out("u", "keen", 70 * SECOND, 2)]
    assert later.causes.tolist() == [Cause.WINDOW_EXPIRED]


def test_what_is_known_from_some_instant_on_is_exact_one_window_later() -> None:
    group = a_changed_group(40 * SECOND)
    warming = group.warming
    group.dump()
    group.end_recall({1: 15 * SECOND, 2: 60 * SECOND}, 41 * SECOND)
    assert group.warming == {
        views(3, HOUR).key: 15 * SECOND + HOUR,
        views(1, HOUR).key: warming[views(1, HOUR).key],  # it will be exact before
    }


def test_a_difference_says_that_conditions_have_become_exact() -> None:
    group = a_changed_group(40 * SECOND)
    dump = group.dump()
    group.recall(inputs_of(OLD))
    midway = KeyGroup.load(AFTER, dump, group.dump_changes())
    assert midway.warming == group.warming != {}
    dump = group.dump()
    group.end_recall(KNOWN, 41 * SECOND)
    changes = group.dump_changes()
    restored = KeyGroup.load(AFTER, dump, changes, group.dump_changes())
    assert restored.warming == {}
    assert restored.members() == group.members()


def test_what_is_held_is_judged_when_its_definition_takes_force() -> None:
    group = carried(a_group(), AFTER)
    group.recall(inputs_of(OLD))
    assert len(group.end_recall(KNOWN, 40 * SECOND)) == 0
    assert group.warming == {}
    told = group.take_force(snapshot_of(AFTER, {}), 41 * SECOND)
    assert Out("u", "fans", 41 * SECOND, 1) in read(AFTER, told)


def test_a_stranger_is_known_by_what_is_recalled() -> None:
    group = a_changed_group(40 * SECOND)
    group.recall(inputs_of([Seen("w", at * SECOND, (0, 1, 2)) for at in (11, 12, 13)]))
    assert "w" not in {one.user_id for one in group.members()}
    told = group.end_recall(KNOWN, 41 * SECOND)
    assert Out("w", "fans", 41 * SECOND - 1, 1) in read(AFTER, told)


def test_a_plan_that_comes_later_has_missed_what_was_before() -> None:
    group = KeyGroup(BEFORE, missed_until=MINUTE)
    assert group.warming == {orders(1).key: MINUTE + HOUR, views(2).key: 2 * MINUTE}
    assert KeyGroup(BEFORE).warming == {}
