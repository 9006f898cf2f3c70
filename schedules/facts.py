"""Pulls and freshness as JSON has them: instants as texts, durations in seconds."""

from __future__ import annotations

from typing import Any

from audience_dsl.definitions import ParentPlan
from audience_dsl.instants import SECOND, format_instant
from schedules.freshness import Freshness, State, state_of
from warehouse.history import Pull


def pull_facts(pull: Pull) -> dict[str, Any]:
    return {
        "pull_date": format_instant(pull.pull_date),
        "status": pull.status,
        "trigger": pull.trigger,
        "extent": pull.extent,
        "duration": None if pull.duration is None else pull.duration / SECOND,
        "rows": pull.rows,
        "moved": pull.moved,
        "error": pull.error,
        "version": pull.version,
    }


def freshness_facts(parent_model: str, found: Freshness) -> dict[str, Any]:
    """Of a parent model."""
    snapshot = found.snapshot
    return {
        "parent_model": parent_model,
        "snapshot": None
        if snapshot is None
        else {
            "version": snapshot.version,
            "taken_at": format_instant(snapshot.taken_at),
            "read_at": format_instant(snapshot.manifest.read_at),
            "rows": snapshot.rows,
        },
        "last_pull": None if found.last is None else pull_facts(found.last),
        "next_pull": format_instant(found.next_pull),
    }


def states_of(plan: ParentPlan, found: Freshness) -> dict[str, State]:
    """Of each of the plan's audiences, by key, sorted."""
    states = {one.key: state_of(one.key, plan, found) for one in plan.plan.audiences}
    return dict(sorted(states.items()))
