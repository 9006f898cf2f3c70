"""Pulls that move single users mean what pulls that look at everybody mean, and what the page says.

In these histories about every third step is a pull; some take force at an instant that has passed.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import Rig, Way
from tests.properties.definitions import KINDS
from tests.properties.histories import decode

WAYS = (
    Way(moves=True),
    Way(moves=True),
    Way(cut=0.3, moves=True),
    Way(cut=1.0, restart=0.3, moves=True),
    Way(cut=0.5, restart=0.1, split=True, moves=True),
)
HISTORIES = st.tuples(*(st.binary(min_size=40, max_size=150) for _ in WAYS))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=settings().max_examples // 5)
@given(data=st.data())
def test_those_who_moved_are_all_that_moves(kind: str, data: st.DataObject) -> None:
    rig = Rig(data.draw(KINDS[kind], label="audiences"))
    seed = data.draw(st.integers(0, 1 << 16), label="seed of cuts and restarts")
    for way, encoded in zip(WAYS, data.draw(HISTORIES, label="histories"), strict=True):
        history = decode(encoded, pulls=5)
        found = rig.run(*history, way, Random(seed))
        assert found == rig.run(*history, way._replace(moves=False), Random(seed))
        assert found == rig.expected(*history)
