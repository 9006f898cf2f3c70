"""Users in key groups: routing, equal hashes, strange ids, what is counted."""

from __future__ import annotations

from engine.group import KeyGroup, Member
from engine.hashing import GROUPS, groups_of, stable_hashes
from engine.texts import Texts
from tests.engine.columns import (
    HOUR,
    MINUTE,
    SECOND,
    Not,
    Out,
    Performed,
    Predicate,
    Seen,
    inputs_of,
    plan_of,
    read,
    snapshot_of,
)

PLAN = plan_of(
    {"twice": Performed(0), "quiet": Not(Performed(1)), "paying": Predicate(0)},
    [(MINUTE, 2, None), (MINUTE, 1, None)],
    [False],
)
STRANGE_IDS = [
    "",
    " ",
    "a",
    "A",
    "é",
    "e\u0301",
    "\0",
    "a\0",
    "日本",
    "\N{GRINNING FACE}",
    "x" * 10_000,
]


def test_groups_share_the_users_without_rest() -> None:
    users = [f"user-{i}" for i in range(300)]
    events = [Seen(user, SECOND * n, (0, 1), id=f"{user}{n}") for n in (1, 2) for user in users]
    warehouse = {f"user-{i}": [i % 2 == 0] for i in range(100, 400)}
    snapshot = snapshot_of(PLAN, warehouse)
    inputs = inputs_of(events)
    together = KeyGroup(PLAN)
    expected = read(
        PLAN, together.take_force(snapshot, 0), together.apply(inputs), together.advance(HOUR)
    )
    groups = groups_of(inputs.user_hashes)
    found = []
    for number in range(GROUPS):
        group = KeyGroup(PLAN, group=number)
        own = inputs.taken((groups == number).nonzero()[0])
        found += read(PLAN, group.take_force(snapshot, 0), group.apply(own), group.advance(HOUR))
    assert sorted(found) == sorted(expected)
    assert set(groups.tolist()) <= set(range(GROUPS))


def test_any_text_can_be_a_user() -> None:
    group = KeyGroup(PLAN)
    group.take_force(snapshot_of(PLAN, {user: [True] for user in STRANGE_IDS}), 0)
    group.apply(inputs_of(Seen(user, SECOND, (0,), id=f"a{user}") for user in STRANGE_IDS))
    found = group.apply(inputs_of(Seen(user, SECOND, (0,), id=f"b{user}") for user in STRANGE_IDS))
    assert found.users.tolist() == STRANGE_IDS
    restored = KeyGroup.load(PLAN, group.dump())
    assert restored.members() == sorted(
        Member(user, audience, 1)
        for user in STRANGE_IDS
        for audience in ("twice", "quiet", "paying")
    )


def test_users_of_equal_hash_are_kept_apart() -> None:
    users = ["ann", "bob", "eve", "zoe"]
    snapshot = snapshot_of(
        PLAN, {"ann": [True], "bob": [False], "eve": [True]}, dict.fromkeys(users, 42)
    )
    group = KeyGroup(PLAN)
    initial = read(PLAN, group.take_force(snapshot, 0))
    assert sorted(one.user for one in initial if one.audience == "paying") == ["ann", "eve"]
    events = [Seen("ann", 1), Seen("zoe", 2), Seen("bob", 3), Seen("ann", 4), Seen("zoe", 5)]
    found = read(PLAN, group.apply(inputs_of(events, hashes=[42] * 5)))
    assert found == [
        Out("zoe", "quiet", 2, 1),
        Out("ann", "twice", 4, 1),
        Out("zoe", "twice", 5, 1),
    ]
    restored = KeyGroup.load(PLAN, group.dump(), snapshot=snapshot)
    assert restored.members() == group.members()


def test_hashes_are_the_same_for_ever() -> None:
    """State and key groups of earlier releases depend on them."""
    texts = Texts.of(["", "a", "user-1", "é", "\N{GRINNING FACE}"])
    assert stable_hashes(texts).tolist() == HASHES
    assert stable_hashes(Texts.of(["b", "a"])).tolist()[1] == HASHES[1]


HASHES = [
    4102185208062615011,
    8187429149733641251,
    -3042948099751627136,
    2295997994818791314,
    5688753845491459971,
]


def test_what_becomes_of_events_is_counted() -> None:
    plan = plan_of({"a": Performed(0), "b": Performed(1)}, [(MINUTE, 2, None), (HOUR, 1, None)])
    group = KeyGroup(plan)
    group.take_force(snapshot_of(plan, {}), 0)
    at = 10 * HOUR
    group.apply(
        inputs_of(
            [
                Seen("u", at, (0, 1), id="m"),
                Seen("u", at + 1, (0, 1), ts=at, id="m"),
                Seen("u", at + 2, (0, 1), ts=at - 2 * HOUR, id="late"),
                Seen("u", at + 3, (0, 1), ts=at - MINUTE, id="late for one of two"),
                Seen("u", at + 4, (0, 1), ts=at + HOUR, id="ahead"),
                Seen("u", at + 5, (0, 1), ts=at + HOUR, id="ahead"),
                Seen("u", at + 6, (0, 1), tallied=False),
            ]
        )
    )
    counts = group.counts
    assert (counts.matched, counts.duplicate, counts.late) == (3, 2, 1)
    assert counts.ahead in (1, 2)


def test_instants_long_ago_and_far_ahead() -> None:
    for start in (-(1 << 55), -SECOND, 0, 253_402_300_799 * SECOND):
        plan = plan_of({"twice": Performed(0)}, [(24 * HOUR, 2, None)])
        group = KeyGroup(plan)
        group.take_force(snapshot_of(plan, {}), start)
        found = read(
            plan,
            group.apply(inputs_of([Seen("u", start + 1), Seen("u", start + 2)])),
            group.advance(start + 48 * HOUR),
        )
        assert found == [
            Out("u", "twice", start + 2, 1),
            Out("u", "twice", start + 1 + 24 * HOUR, 2),
        ]


def test_nothing_in_nothing_out() -> None:
    group = KeyGroup(PLAN)
    assert len(group.apply(inputs_of([]))) == 0
    assert len(group.advance(SECOND)) == 0
    assert len(group.take_force(snapshot_of(PLAN, {}), SECOND)) == 0
    assert len(group.apply(inputs_of([]))) == 0
    assert len(group.advance(2 * SECOND)) == 0
    assert group.counts == (0, 0, 0, 0)


def test_a_plan_without_audiences() -> None:
    plan = plan_of({})
    group = KeyGroup(plan)
    assert len(group.take_force(snapshot_of(plan, {"u": []}), 0)) == 0
    assert len(group.apply(inputs_of([Seen("u", 1, ())]))) == 0
    assert KeyGroup.load(plan, group.dump()).members() == []


def test_events_recorded_ahead_stay_apart_where_they_count_together() -> None:
    """One id, three recorded instants, one arrival: three events, and a copy of one of them."""
    plan = plan_of({"thrice": Performed(0)}, [(MINUTE, 3, None)])
    group = KeyGroup(plan)
    group.take_force(snapshot_of(plan, {}), 0)
    events = [Seen("u", SECOND, ts=ts, id="m") for ts in (2, 2, 3, 1)]
    events = [event._replace(ts=event.ts * SECOND) for event in events if event.ts]
    found = read(plan, group.apply(inputs_of(events)), group.advance(HOUR))
    assert found == [Out("u", "thrice", SECOND, 1), Out("u", "thrice", SECOND + MINUTE, 2)]
    assert group.counts == (3, 1, 0, 2)
