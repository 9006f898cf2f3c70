"""Conditions of the same events share what is remembered; nobody can tell by the transitions."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from engine.group import KeyGroup
from engine.plan import Plan, Tree
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

Bounds = tuple[int, int, int | None]


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    minimum = draw(st.integers(0, 5))
    maximum = draw(st.none() | st.integers(minimum, 6))
    return draw(st.integers(1, 30)) * SECOND, minimum, maximum


class Batch(NamedTuple):
    """Events that are applied together; then the clock goes on to `tick`, and maybe a restart."""

    events: list[Seen]
    tick: int
    restart: bool


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    found = []
    clock = 0
    for _ in range(draw(st.integers(1, 12))):
        events = []
        for _ in range(draw(st.integers(0, 4))):
            clock += draw(st.sampled_from([0, 0, 1, 2, 7])) * SECOND
            ts = clock + draw(st.sampled_from([0, 0, 0, -1, -5, -12, 3])) * SECOND
            conditions = draw(st.sampled_from([(0, 2, 4), (1, 3), (0, 1, 2, 3, 4), ()]))
            events.append(Seen("u", clock, conditions, ts, f"m{draw(st.integers(0, 9))}"))
        tick = clock + draw(st.integers(0, 20)) * SECOND
        found.append(Batch(events, tick, draw(st.booleans())))
        clock = draw(st.sampled_from([clock, tick]))
    return found


def transitions(plan: Plan, history: list[Batch]) -> list[Out]:
    nobody = snapshot_of(plan, {})
    group = KeyGroup(plan)
    group.take_force(nobody, 0)
    parts = []
    for batch in history:
        parts += [group.apply(inputs_of(batch.events)), group.advance(batch.tick)]
        if batch.restart:
            group = KeyGroup.load(plan, group.dump(), snapshot=nobody)
    return read(plan, *parts, group.advance(HOUR))


@given(st.lists(bounds(), min_size=5, max_size=5), batches())
def test_sharing_changes_nothing_but_the_cost(
    conditions: list[Bounds], history: list[Batch]
) -> None:
    audiences: dict[str, Tree] = {f"a{i}": Performed(i) for i in range(5)}
    alone = plan_of(audiences, conditions)
    shared = plan_of(audiences, conditions, of=["x", "y", "x", "y", "x"])
    assert transitions(shared, history) == transitions(alone, history)


def test_twenty_conditions_remember_an_event_once() -> None:
    audiences: dict[str, Tree] = {f"a{i}": Performed(i) for i in range(20)}
    conditions: list[Bounds] = [(HOUR + i, 50, None) for i in range(20)]
    sizes = []
    for of in ([], ["x"] * 20):
        plan = plan_of(audiences, conditions, of=of)
        group = KeyGroup(plan)
        group.take_force(snapshot_of(plan, {}), 0)
        group.apply(inputs_of(Seen("u", i, tuple(range(20))) for i in range(40)))
        empty = len(KeyGroup(plan).dump())
        sizes.append(len(group.dump()) - empty)
    assert sizes[0] > 10 * sizes[1]


def test_many_events_of_a_short_window_are_not_kept_for_a_long_one() -> None:
    """The hundredth newest matters for a minute, although the newest matters for a day."""
    plan = plan_of(
        {"crowd": Performed(0), "quiet": Not(Performed(1))},
        [(MINUTE, 100, None), (24 * HOUR, 1, None)],
        of=["x", "x"],
    )
    group = KeyGroup(plan)
    group.take_force(snapshot_of(plan, {}), 0)
    found = read(plan, group.apply(inputs_of(Seen("u", i, (0, 1)) for i in range(100))))
    assert [one.audience for one in found] == ["crowd"]
    full = len(group.dump())
    group.apply(inputs_of([Seen("u", HOUR, (0, 1), id="later")]))
    assert len(group.dump()) < full - 90 * 16
    assert read(plan, group.advance(48 * HOUR)) == [Out("u", "quiet", 25 * HOUR, 1)]
