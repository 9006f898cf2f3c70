"""The chronicle's order does not depend on which group reports when."""

from __future__ import annotations

from random import Random

from dataflows.chronicle import Chronicle
from engine.hashing import GROUPS
from tests.dataflows.found import Row, group_transitions, plans, rows_of

PLANS = plans()


def report(
    chronicle: Chronicle, found: dict[tuple[str, int], list[Row]], tick: int, random: Random
) -> list[Row]:
    """All groups reach `tick`, in any order."""
    places = [(parent, group) for parent in PLANS for group in range(GROUPS)]
    random.shuffle(places)
    told = []
    for parent, group in places:
        rows = found.get((parent, group), [])
        stretch = chronicle.add(group_transitions(PLANS[parent], group, rows, tick))
        told += rows_of(stretch, PLANS)
    return told


def test_one_instant_is_ordered_by_parent_user_audience_and_sequence() -> None:
    found = {
        ("users", 3): [("ö", "a", 5, 1), ("z", "b", 5, 1), ("z", "b", 5, 2), ("z", "a", 5, 1)],
        ("users", 1): [("Z", "a", 5, 1), ("Z", "a", 4, 1)],
        ("accounts", 9): [("zz", "paying", 5, 1)],
    }
    for seed in range(5):
        assert report(Chronicle(PLANS), found, 6, Random(seed)) == [
            ("Z", "a", 4, 1),
            ("zz", "paying", 5, 1),
            ("Z", "a", 5, 1),
            ("z", "a", 5, 1),
            ("z", "b", 5, 1),
            ("z", "b", 5, 2),
            ("ö", "a", 5, 1),
        ]


def test_what_lies_at_or_after_the_tick_waits() -> None:
    chronicle = Chronicle(PLANS)
    found = {("users", 0): [("u", "a", 9, 1), ("u", "a", 10, 2), ("u", "a", 12, 3)]}
    assert report(chronicle, found, 10, Random(0)) == [("u", "a", 9, 1)]
    assert report(chronicle, {}, 11, Random(0)) == [("u", "a", 10, 2)]
    assert report(chronicle, {}, 13, Random(0)) == [("u", "a", 12, 3)]


def test_a_group_that_lags_behind_holds_everybody_back() -> None:
    chronicle = Chronicle(PLANS)
    for parent in PLANS:
        for group in range(GROUPS):
            if (parent, group) != ("users", 7):
                rows = [("early", "a", 1, 1)] if (parent, group) == ("users", 0) else []
                one = group_transitions(PLANS[parent], group, rows, 100)
                assert chronicle.add(one) is None
    late = group_transitions(PLANS["users"], 7, [("late", "b", 0, 1)], 100)
    told = rows_of(chronicle.add(late), PLANS)
    assert told == [("late", "b", 0, 1), ("early", "a", 1, 1)]


def test_audiences_that_are_not_asked_for_are_left_out() -> None:
    found = {
        ("users", 0): [("u", "a", 1, 1), ("u", "b", 1, 1)],
        ("accounts", 0): [("c", "paying", 1, 1)],
    }
    assert report(Chronicle(PLANS, {"b"}), found, 2, Random(0)) == [("u", "b", 1, 1)]
    assert report(Chronicle(PLANS, set()), found, 2, Random(0)) == []


def test_records_come_in_the_order_of_the_stretch() -> None:
    chronicle = Chronicle(PLANS)
    stretches = [
        chronicle.add(group_transitions(PLANS[parent], group, rows, 10))
        for parent in PLANS
        for group in range(GROUPS)
        for rows in [[(f"{parent}-{group}", "a" if parent == "users" else "paying", 1, 1)]]
    ]
    (stretch,) = [one for one in stretches if one is not None]
    records = [(one.user_id, one.audience, one.sequence) for one in stretch.records(PLANS)]
    assert records == [
        (user, audience, number) for user, audience, _, number in rows_of(stretch, PLANS)
    ]
    assert len(records) == 2 * GROUPS
