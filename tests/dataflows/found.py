"""Transitions made by hand, as the key groups report them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audience_dsl import compile_project
from dataflows.steps import GroupTransitions
from engine.group import Counts
from engine.plan import Plan
from engine.texts import Texts
from engine.transitions import Cause, Transitions

PROJECT = """
sources: {web: {type: file, path: events.jsonl}}
parent_models:
  accounts: {from: {csv: accounts.csv}, primary_key: id}
  users: {from: {csv: users.csv}, primary_key: id}
events:
  seen: {source: web, type: page, parent_model: users}
  billed: {source: web, type: group, parent_model: accounts}
audiences:
  b: {parent_model: users, where: {performed: seen, within: 1h}}
  a: {parent_model: users, where: {performed: seen, at_least: 2, within: 1h}}
  paying: {parent_model: accounts, where: {performed: billed, within: 1h}}
"""

Row = tuple[str, str, int, int]  # user, audience, instant, sequence


def plans() -> list[Plan]:
    compiled = compile_project({"project.yml": PROJECT}, {}, lambda _warehouse, _model: None, {})
    assert compiled.project is not None, compiled.diagnostics
    return [parent.plan for parent in compiled.project.plans.values()]


def group_transitions(plan: Plan, group: int, rows: Sequence[Row], tick: int) -> GroupTransitions:
    numbers = {audience.key: number for number, audience in enumerate(plan.audiences)}
    return GroupTransitions(
        plan.parent_model,
        group,
        Transitions(
            Texts.of([user for user, *_ in rows]),
            np.array([numbers[audience] for _, audience, *_ in rows], dtype=np.int32),
            np.array([instant for *_, instant, _ in rows], dtype=np.int64),
            np.array([sequence for *_, sequence in rows], dtype=np.int32),
            np.full(len(rows), Cause.INITIAL, dtype=np.int8),
            np.full(len(rows), -1, dtype=np.int32),
            Texts.of([""] * len(rows)),
        ),
        Counts(0, 0, 0, 0),
        "",
        tick,
    )


def rows_of(transitions: Transitions | None, of: Sequence[Plan]) -> list[Row]:
    if transitions is None:
        return []
    keys = [audience.key for plan in of for audience in plan.audiences]
    return [
        (user, keys[audience], instant, sequence)
        for user, audience, instant, sequence in zip(
            transitions.users.tolist(),
            transitions.audiences.tolist(),
            transitions.effective_at.tolist(),
            transitions.sequences.tolist(),
            strict=True,
        )
    ]
