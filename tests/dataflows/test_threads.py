"""Bytewax's threads keep what Python knows of them, so that entering Python is cheap."""

from __future__ import annotations

import threading
from datetime import timedelta

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink

from dataflows.adapters import IteratorSource
from dataflows.running import run_flow


def test_a_worker_finds_what_it_has_left_in_python() -> None:
    left = threading.local()
    found: list[bool] = []

    def leave(item: int) -> int:
        found.append(hasattr(left, "something"))
        left.something = item
        return item

    flow = Dataflow("threads")
    numbers = op.input("numbers", flow, IteratorSource(iter(range(20))))
    told: list[int] = []
    op.output("told", op.map("leave", numbers, leave), TestingSink(told))
    run_flow(flow, epoch=timedelta(seconds=10), workers=2)
    assert told == list(range(20))
    assert found == [False] + [True] * 19
