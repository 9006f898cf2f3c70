"""Steps are split so that each key group gets its own events, in order, and every tick."""

from __future__ import annotations

from random import Random

from dataflows.steps import Step, split_by_group
from engine.hashing import GROUPS, groups_of
from tests.engine.columns import Seen, inputs_of

USERS = [f"user-{number}" for number in range(300)]


def test_every_event_goes_to_the_group_of_its_user_in_order() -> None:
    random = Random(1)
    inputs = inputs_of([Seen(random.choice(USERS), arrival) for arrival in range(1000)])
    split = split_by_group([Step(None, {"users": inputs}, 1000)], ["users"])
    seen = []
    for key, step in split:
        assert key == f"users/{step.group:02d}"
        assert step.tick == 1000
        if step.inputs is None:
            continue
        assert set(groups_of(step.inputs.user_hashes).tolist()) == {step.group}
        arrivals = step.inputs.arrivals.tolist()
        assert arrivals == sorted(arrivals)
        seen += [
            (arrival, step.inputs.users.text(row), step.inputs.message_ids.text(row))
            for row, arrival in enumerate(arrivals)
        ]
    expected = [
        (arrival, inputs.users.text(row), inputs.message_ids.text(row))
        for row, arrival in enumerate(inputs.arrivals.tolist())
    ]
    assert sorted(seen) == expected


def test_every_group_of_every_parent_hears_of_every_step() -> None:
    steps = [Step(7, {}, 7), Step(None, {"users": inputs_of([Seen("u", 8)])}, 9)]
    split = split_by_group(steps, ["accounts", "users"])
    assert [one.tick for _, one in split] == [7] * 2 * GROUPS + [9] * 2 * GROUPS
    assert {one.take_force_at for _, one in split[: 2 * GROUPS]} == {7}
    assert sum(one.inputs is not None for _, one in split) == 1
    assert len({key for key, _ in split}) == 2 * GROUPS
