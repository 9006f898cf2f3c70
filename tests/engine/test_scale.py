"""Large plans: a thousand audiences, three thousand conditions, many predicates."""

from __future__ import annotations

from engine.group import KeyGroup
from tests.engine.columns import (
    MINUTE,
    SECOND,
    All,
    MemberOf,
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

AUDIENCES = 1_000


def test_a_thousand_audiences_with_three_thousand_conditions() -> None:
    """Audience i wants one event of its first condition, two of its second, none of its third."""
    conditions = []
    audiences = {}
    for i in range(AUDIENCES):
        conditions += [(MINUTE, 1, None), (MINUTE, 2, None), (2 * MINUTE, 1, None)]
        audiences[f"a{i:04}"] = All(
            (Performed(3 * i), Performed(3 * i + 1), Not(Performed(3 * i + 2)))
        )
    plan = plan_of(audiences, conditions)
    group = KeyGroup(plan)
    group.take_force(snapshot_of(plan, {}), 0)
    firsts = tuple(range(0, 3 * AUDIENCES, 3))
    seconds = tuple(range(1, 3 * AUDIENCES, 3))
    both = tuple(sorted(firsts + seconds))
    spoiled = tuple(3 * i + 2 for i in range(0, AUDIENCES, 2))
    events = [
        Seen("u", 10 * SECOND, both),
        Seen("v", 10 * SECOND, firsts),
        Seen("u", 20 * SECOND, both),
        Seen("v", 20 * SECOND, firsts),
        Seen("u", 30 * SECOND, spoiled),
    ]
    found = read(plan, group.apply(inputs_of(events)))
    assert found[:AUDIENCES] == [Out("u", key, 20 * SECOND, 1) for key in sorted(audiences)]
    assert found[AUDIENCES:] == [
        Out("u", key, 30 * SECOND, 2) for key in sorted(audiences) if int(key[1:]) % 2 == 0
    ]
    restored = KeyGroup.load(plan, group.dump())
    expected = [
        Out("u", key, 10 * SECOND + MINUTE, 2) for key in sorted(audiences) if int(key[1:]) % 2
    ]
    assert read(plan, group.advance(MINUTE * 10)) == expected
    assert read(plan, restored.advance(MINUTE * 10)) == expected


def test_a_chain_of_a_thousand_audiences() -> None:
    """Each is everybody who is not in the one before; all turn at one instant, in order."""
    audiences = {"a0000": Performed(0)}
    for i in range(1, AUDIENCES):
        audiences[f"a{i:04}"] = Not(MemberOf(f"a{i - 1:04}"))  # type: ignore[assignment]
    plan = plan_of(audiences, [(MINUTE, 1, None)])  # type: ignore[arg-type]
    group = KeyGroup(plan)
    initial = read(plan, group.take_force(snapshot_of(plan, {"u": []}), 0))
    assert [one.audience for one in initial] == [f"a{i:04}" for i in range(1, AUDIENCES, 2)]
    turned = read(plan, group.apply(inputs_of([Seen("u", SECOND)])))
    assert turned == [
        Out("u", f"a{i:04}", SECOND, 1 if i % 2 == 0 else 2) for i in range(AUDIENCES)
    ]
    back = read(plan, group.advance(MINUTE * 2))
    assert back == [
        Out("u", f"a{i:04}", SECOND + MINUTE, 2 if i % 2 == 0 else 3) for i in range(AUDIENCES)
    ]


def test_two_hundred_predicates() -> None:
    """More than fit into one word, the word's sign bit among them."""
    audiences = {f"p{i:03}": Predicate(i) for i in range(200)}
    plan = plan_of(audiences, [], [i % 7 == 0 for i in range(200)])
    rows = {"even": [i % 2 == 0 for i in range(200)], "all": [True] * 200, "none": [False] * 200}
    group = KeyGroup(plan)
    found = read(plan, group.take_force(snapshot_of(plan, rows), 0))
    assert sorted((one.user, one.audience) for one in found) == sorted(
        (user, f"p{i:03}") for user, row in rows.items() for i in range(200) if row[i]
    )
    swapped = {"even": rows["none"], "all": rows["even"], "none": rows["all"]}
    found = read(plan, group.take_force(snapshot_of(plan, swapped), SECOND))
    assert sorted((one.user, one.audience, one.sequence % 2) for one in found) == sorted(
        (user, f"p{i:03}", int(row[i]))
        for user, row in swapped.items()
        for i in range(200)
        if row[i] != rows[user][i]
    )


def test_a_user_that_matches_everything_often() -> None:
    """Every condition of the plan, in a window of its own, again and again."""
    conditions = [((i + 1) * SECOND, i % 5 + 1, None) for i in range(300)]
    plan = plan_of({f"a{i:03}": Performed(i) for i in range(300)}, conditions)
    group = KeyGroup(plan)
    group.take_force(snapshot_of(plan, {}), 0)
    everything = tuple(range(300))
    found = read(plan, group.apply(inputs_of(Seen("u", i, everything) for i in range(5))))
    assert len(found) == 300
    found = read(plan, group.advance(301 * SECOND + 5))
    assert found == [
        Out("u", f"a{i:03}", 4 - i % 5 + (i + 1) * SECOND, 2)
        for i in sorted(range(300), key=lambda i: 4 - i % 5 + (i + 1) * SECOND)
    ]
    assert group.members() == []
