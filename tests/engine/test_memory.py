"""Memory follows what can still matter, not what has ever happened."""

from __future__ import annotations

from engine.group import KeyGroup
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


def in_force(plan: object) -> KeyGroup:
    group = KeyGroup(plan)  # type: ignore[arg-type]
    group.take_force(snapshot_of(plan, {}), 0)  # type: ignore[arg-type]
    return group


def test_what_has_aged_out_is_given_back() -> None:
    plan = plan_of({"twice": Performed(0)}, [(MINUTE, 2, None)])
    group = in_force(plan)
    empty = group.size_bytes
    group.apply(inputs_of(Seen(f"user-{i}", SECOND + i) for i in range(30_000)))
    full = group.size_bytes
    assert group.user_count == 30_000
    group.advance(HOUR)
    assert group.user_count == 0
    assert group.size_bytes < full / 20
    assert group.size_bytes < empty + (1 << 18)
    assert len(group.dump()) < 10_000


def test_given_back_room_is_used_again() -> None:
    plan = plan_of({"twice": Performed(0)}, [(MINUTE, 2, None)])
    group = in_force(plan)
    sizes = []
    for wave in range(12):
        start = 10 * wave * MINUTE
        events = [Seen(f"wave-{wave}-{i}", start + i, id="m") for i in range(2_000)]
        group.apply(inputs_of(events))
        sizes.append(group.size_bytes)
        group.advance(start + 5 * MINUTE)
    assert max(sizes) < 1.5 * sizes[0]


def test_the_same_when_no_tick_ever_comes() -> None:
    """A replay has no ticks between its events; arrivals alone must free what is old."""
    plan = plan_of({"twice": Performed(0)}, [(SECOND, 2, None)])
    group = in_force(plan)
    sizes = []
    for wave in range(20):
        start = wave * MINUTE
        group.apply(inputs_of(Seen(f"w{wave}-{i}", start + i) for i in range(1_000)))
        group.advance(start)
        sizes.append(group.user_count)
    assert max(sizes) <= 2_000


def test_a_robot_costs_as_much_as_a_visitor() -> None:
    plan = plan_of(
        {"thrice": Performed(0), "at_most_two": Performed(1)}, [(HOUR, 3, None), (HOUR, 0, 2)]
    )
    visitor, robot = in_force(plan), in_force(plan)
    visitor.apply(inputs_of(Seen("u", i, (0, 1)) for i in range(5)))
    robot.apply(inputs_of(Seen("u", i, (0, 1)) for i in range(100_000)))
    assert robot.size_bytes == visitor.size_bytes
    assert robot.counts.matched == 100_000


def test_sequences_outlive_everything_else() -> None:
    plan = plan_of({"seen": Performed(0)}, [(SECOND, 1, None)])
    group = in_force(plan)
    found = []
    for day in range(4):
        at = day * 24 * HOUR
        found += read(plan, group.apply(inputs_of([Seen("u", at, id=f"d{day}")])))
        found += read(plan, group.advance(at + HOUR))
    assert [one.sequence for one in found] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [one.effective_at for one in found[1::2]] == [
        day * 24 * HOUR + SECOND for day in range(4)
    ]


def test_a_threshold_of_ten_thousand() -> None:
    plan = plan_of(
        {"many": Performed(0), "not_too_many": Performed(1), "just_so": Performed(2)},
        [(24 * HOUR, 10_000, None), (24 * HOUR, 0, 10_000), (24 * HOUR, 10_000, 10_000)],
    )
    group = in_force(plan)
    events = [Seen("u", SECOND * i, (0, 1, 2)) for i in range(1, 10_002)]
    found = read(plan, group.apply(inputs_of(events)))
    assert found == [
        Out("u", "not_too_many", 1 * SECOND, 1),
        Out("u", "just_so", 10_000 * SECOND, 1),
        Out("u", "many", 10_000 * SECOND, 1),
        Out("u", "just_so", 10_001 * SECOND, 2),
        Out("u", "not_too_many", 10_001 * SECOND, 2),
    ]
    restored = KeyGroup.load(plan, group.dump())
    assert group.size_bytes < 4 << 20
    day = 24 * HOUR
    expected = [
        Out("u", "just_so", day + SECOND, 3),
        Out("u", "not_too_many", day + SECOND, 3),
        Out("u", "just_so", day + 2 * SECOND, 4),
        Out("u", "many", day + 2 * SECOND, 2),
    ]
    assert read(plan, group.advance(48 * HOUR)) == expected
    assert read(plan, restored.advance(48 * HOUR)) == expected


def test_ten_thousand_events_in_the_worst_order() -> None:
    """Each arrives before all that are there already, then all of them once more."""
    plan = plan_of({"many": Performed(0)}, [(24 * HOUR, 10_000, None)])
    group = in_force(plan)
    arrival = HOUR
    backwards = [Seen("u", arrival, ts=arrival - i, id=f"m{i}") for i in range(10_000)]
    found = read(plan, group.apply(inputs_of(backwards + backwards)))
    assert found == [Out("u", "many", arrival, 1)]
    assert group.counts.duplicate == 10_000
    expected = [Out("u", "many", arrival - 9_999 + 24 * HOUR, 2)]
    assert read(plan, group.advance(48 * HOUR)) == expected


def test_absence_costs_nothing_for_users_that_never_come() -> None:
    """Members of an absence audience are remembered; users who are not are unknown to the group."""
    plan = plan_of({"free_and_quiet": Not(Performed(0))}, [(MINUTE, 1, None)])
    group = KeyGroup(plan)
    found = group.take_force(snapshot_of(plan, {f"u{i}": [] for i in range(1_000)}), 0)
    assert len(found) == group.user_count == 1_000
    busy = plan_of({"busy": Performed(0)}, [(MINUTE, 1, None)])
    group = KeyGroup(busy)
    assert len(group.take_force(snapshot_of(busy, {f"u{i}": [] for i in range(1_000)}), 0)) == 0
    assert group.user_count == 0
