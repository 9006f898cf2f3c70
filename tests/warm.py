"""Loads the product, so that processes forked from this one begin at once."""

from __future__ import annotations

import importlib

from engine.group import KeyGroup
from engine.plan import Audience, Condition, Performed, Plan
from tests.engine.columns import Seen, inputs_of, snapshot_of


def _load_kernels() -> None:
    plan = Plan.build(
        "users", [Condition("c", 1_000_000, 1)], [], [Audience("all", "1", Performed(0))]
    )
    group = KeyGroup(plan)
    group.take_force(snapshot_of(plan, {"u": []}), 0)
    group.apply(inputs_of([Seen("u", 1), Seen("u", 2)]))
    dump = group.dump()
    group.advance(9_000_000)
    KeyGroup.load(plan, dump, group.dump_changes()).advance(9_000_000)


for module in ("cli.main", "cli.run"):
    importlib.import_module(module)
_load_kernels()
