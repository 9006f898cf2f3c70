"""What is foreseen is what happens if nothing else does."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.forecasts import Foreseen, forecast
from engine.group import KeyGroup
from engine.transitions import Transitions
from tests import oracle
from tests.harness import Rig, batches
from tests.properties.definitions import KINDS
from tests.properties.histories import decode

# Longer than the longest window: nothing ages out any more.
LATER = 3 * 86_400_000_000
HISTORIES = st.lists(st.binary(min_size=40, max_size=150), min_size=2, max_size=2)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_against_oracle(kind: str, data: st.DataObject) -> None:
    rig = Rig(data.draw(KINDS[kind], label="audiences"))
    for encoded in data.draw(HISTORIES, label="histories"):
        steps, until = decode(encoded)
        first_pull = next(i for i, one in enumerate(steps) if isinstance(one, oracle.Pull))
        steps = steps[: data.draw(st.integers(first_pull + 1, len(steps)), label="steps")]
        group, told = lived(rig, steps)
        before = group.dump()
        users = sorted(
            {one.record["userId"] for one in steps if isinstance(one, oracle.Event)}
            | {user for one in steps if isinstance(one, oracle.Pull) for user in one.rows}
        )
        found = forecast(group, [*users, "nobody"])
        assert group.dump() == before
        assert found.pop("nobody") == {}
        everything = rig.expected(steps, until + LATER)
        assert set(told) <= set(everything)
        expected: dict[str, dict[str, Foreseen]] = {user: {} for user in users}
        for one in sorted(set(everything) - set(told)):
            coming = Foreseen(one.sequence - 1, one.effective_at)
            expected[one.user_id].setdefault(one.audience, coming)
        for user_id, audience, sequence in group.members():
            expected[user_id].setdefault(audience, Foreseen(sequence, None))
        assert found == expected


def lived(rig: Rig, steps: Any) -> tuple[KeyGroup, list[oracle.Transition]]:
    """A group that has come so far, and what it has told."""
    group = KeyGroup(rig.plan)
    parts: list[Transitions] = []
    for batch in batches(steps, 0.3, Random(0)):
        match batch:
            case oracle.Tick(at):
                parts.append(group.advance(at))
            case oracle.Pull(at, rows):
                parts.append(group.take_force(rig.snapshot(rows, at), at))
            case _:
                inputs = rig.inputs(batch)
                if inputs is not None:
                    parts.append(group.apply(inputs))
    return group, [one for part in parts for one in rig.transitions(part)]
