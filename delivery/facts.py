"""Deliveries as JSON has them: instants as texts, durations in seconds."""

from __future__ import annotations

from typing import Any

import msgspec

from audience_dsl.instants import SECOND, format_instant
from delivery.standings import Standing
from membership.deliveries import Attempt, DeadLetter


def standing_facts(one: Standing) -> dict[str, Any]:
    state, lag, population = one.state, one.lag, one.population
    return {
        "type": "sync",
        "sync": one.sync.key,
        "audience": one.sync.audience,
        "destination": one.sync.destination,
        "state": one.status,
        "since": _instant(state.since if state else 0),
        "reason": one.why,
        "lag": None
        if lag is None
        else {"transitions": lag.transitions, "seconds": lag.age / SECOND},
        "sent": state.sent if state else 0,
        "failed": state.failed if state else 0,
        "retried": state.retried if state else 0,
        "dead": state.dead if state else 0,
        "dead_letters": one.dead_letters,
        "parked": one.parked,
        "parked_since": _instant(one.parked_since or 0),
        "last_error": None
        if state is None or not state.failed_at
        else {"at": format_instant(state.failed_at), "reason": state.reason},
        "members": None
        if population is None
        else ("sent" if population.is_complete else "sending"),
        "asked": [str(kind) for kind in one.asked],
    }


def attempt_facts(sync: str, number: int, one: Attempt) -> dict[str, Any]:
    return {
        "type": "attempt",
        "sync": sync,
        "number": number,
        "at": format_instant(one.at),
        "duration": one.duration / SECOND,
        "messages": one.messages,
        "ids": one.ids.split(),
        "verdict": one.verdict,
        "reason": one.reason,
        "status": one.status or None,
        "request": one.request,
        "response": one.response,
    }


def letter_facts(sync: str, one: DeadLetter) -> dict[str, Any]:
    """One line of a list."""
    record = _record(one)
    return {
        "type": "delivery",
        "id": one.id,
        "sync": sync,
        "user_id": one.user_id,
        "transition": record.get("type"),
        "sequence": one.sequence,
        "given_up_at": format_instant(one.at),
        "attempts": one.attempts,
        "status": one.status or None,
        "reason": one.reason,
    }


def letter_details(sync: str, one: DeadLetter) -> dict[str, Any]:
    """All of it, but for what the mapping made: that may be personal."""
    more = {"request": one.request, "response": one.response, "record": _record(one)}
    return {**letter_facts(sync, one), **more}


def _record(one: DeadLetter) -> dict[str, Any]:
    record: dict[str, Any] = msgspec.json.decode(one.record)
    return record


def _instant(instant: int) -> str | None:
    return format_instant(instant) if instant else None
