"""The engine and the oracle agree about every history, whatever the batches and the restarts.

One example is a project with several histories: compiling a definition costs more than replaying
a dozen events.  A profile's number of examples times ten is the number of histories a kind.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.harness import STRAIGHT, Rig, Way
from tests.properties.definitions import KINDS
from tests.properties.histories import BASE, decode

# Every example runs one history in each of these ways.
WAYS = (
    STRAIGHT,
    STRAIGHT,
    STRAIGHT,
    Way(cut=0.3),
    Way(cut=0.3),
    Way(cut=1.0),
    Way(cut=0.5, restart=0.1),
    Way(cut=0.5, restart=0.1),
    Way(cut=1.0, restart=0.3),
    Way(cut=0.5, restart=0.1, split=True),
)
HISTORIES = st.tuples(*(st.binary(min_size=40, max_size=150) for _ in WAYS))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_against_oracle(kind: str, data: st.DataObject) -> None:
    rig = Rig(data.draw(KINDS[kind], label="audiences"))
    seed = data.draw(st.integers(0, 1 << 16), label="seed of cuts and restarts")
    for way, encoded in zip(WAYS, data.draw(HISTORIES, label="histories"), strict=True):
        history = decode(encoded)
        found = rig.run(*history, way, Random(seed))
        expected = rig.expected(*history)
        if found != expected:
            note(_told(rig.definition["audiences"], history.steps, expected, found, way))
        assert found == expected


def _told(audiences: Any, steps: Any, expected: Any, found: Any, how: Any) -> str:
    """A mismatch that can be read."""
    lines = [str(audiences), str(how)]
    lines += [f"  {step}".replace(str(BASE)[:7], "…") for step in steps]
    only_expected = [one for one in expected if one not in found]
    only_found = [one for one in found if one not in expected]
    lines += [f"  missing    {tuple(one)}" for one in only_expected]
    lines += [f"  unexpected {tuple(one)}" for one in only_found]
    return "\n".join(lines)
