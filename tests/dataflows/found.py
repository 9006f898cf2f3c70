"""Transitions made by hand, as the key groups report them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audience_dsl import compile_project
from audience_dsl.definitions import ParentPlan
from dataflows.chronicle import Stretch
from dataflows.steps import GroupTransitions
from engine.group import Counts
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


def plans() -> dict[str, ParentPlan]:
    compiled = compile_project({"project.yml": PROJECT}, {}, lambda _warehouse, _model: None)
    assert compiled.project is not None, compiled.diagnostics
    return dict(compiled.project.plans)


def group_transitions(
    plan: ParentPlan, group: int, rows: Sequence[Row], tick: int
) -> GroupTransitions:
    numbers = {audience.key: number for number, audience in enumerate(plan.plan.audiences)}
    return GroupTransitions(
        plan.plan.parent_model,
        group,
        Transitions(
            [user for user, *_ in rows],
            np.array([numbers[audience] for _, audience, *_ in rows], dtype=np.int32),
            np.array([instant for *_, instant, _ in rows], dtype=np.int64),
            np.array([sequence for *_, sequence in rows], dtype=np.int32),
            np.full(len(rows), Cause.INITIAL, dtype=np.int8),
            np.full(len(rows), -1, dtype=np.int32),
            [""] * len(rows),
        ),
        Counts(0, 0, 0, 0),
        "",
        tick,
    )


def rows_of(stretch: Stretch | None, of: dict[str, ParentPlan]) -> list[Row]:
    if stretch is None:
        return []
    found = []
    for part, row in zip(stretch.parts.tolist(), stretch.rows.tolist(), strict=True):
        parent, columns = stretch.columns[part]
        audience = of[parent].plan.audiences[columns.audiences[row]].key
        instant, sequence = int(columns.effective_at[row]), int(columns.sequences[row])
        found.append((columns.user_ids[row], audience, instant, sequence))
    return found
