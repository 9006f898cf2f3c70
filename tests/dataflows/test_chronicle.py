"""The chronicle's order does not depend on which group reports when."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dataflows.chronicle import Chronicle
from engine.hashing import GROUPS
from tests.dataflows.found import Row, group_transitions, plans, rows_of

PLANS = plans()


def report(
    chronicle: Chronicle, found: dict[tuple[str, int], list[Row]], tick: int, random: Random
) -> list[Row]:
    """All groups reach `tick`, in any order."""
    places = [(plan, group) for plan in PLANS for group in range(GROUPS)]
    random.shuffle(places)
    told = []
    for plan, group in places:
        rows = found.get((plan.parent_model, group), [])
        told += rows_of(chronicle.add(group_transitions(plan, group, rows, tick)), PLANS)
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
    for plan in PLANS:
        for group in range(GROUPS):
            place = plan.parent_model, group
            if place != ("users", 7):
                rows = [("early", "a", 1, 1)] if place == ("users", 0) else []
                assert chronicle.add(group_transitions(plan, group, rows, 100)) is None
    users = next(plan for plan in PLANS if plan.parent_model == "users")
    late = group_transitions(users, 7, [("late", "b", 0, 1)], 100)
    told = rows_of(chronicle.add(late), PLANS)
    assert told == [("late", "b", 0, 1), ("early", "a", 1, 1)]


def test_audiences_that_are_not_asked_for_are_left_out() -> None:
    found = {
        ("users", 0): [("u", "a", 1, 1), ("u", "b", 1, 1)],
        ("accounts", 0): [("c", "paying", 1, 1)],
    }
    assert report(Chronicle(PLANS, {"b"}), found, 2, Random(0)) == [("u", "b", 1, 1)]
    assert report(Chronicle(PLANS, set()), found, 2, Random(0)) == []


@given(
    st.lists(st.tuples(st.text(max_size=2), st.sampled_from("ab"), st.integers(0, 3)), max_size=30),
    st.integers(0, 4),
)
def test_any_transitions_are_put_in_order(found: list[tuple[str, str, int]], tick: int) -> None:
    rows = [(*one, sequence) for sequence, one in enumerate(found, 1)]
    chronicle = Chronicle(PLANS)
    told = report(chronicle, {("users", 0): rows}, tick, Random(0))
    told += report(chronicle, {}, 9, Random(0))
    assert told == sorted(rows, key=lambda row: (row[2], row[0], row[1], row[3]))
