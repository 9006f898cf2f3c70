"""Lanes in worlds where all that can go wrong does, at any step."""

from __future__ import annotations

import os

import pytest

from delivery import lane
from tests.delivery.simulation import lived

SEEDS = int(os.environ.get("USHER_LANE_SEEDS", "200"))
PARTS = 10
STEPS = 150


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_reordered_or_changed(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "PARKED", 8)
    for seed in range(part, SEEDS, PARTS):
        try:
            world = lived(seed, STEPS)
            world.check_order()
            world.check()
            world.replay()
            world.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
