"""How deliveries are printed: how syncs stand, attempts, and dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from audience_dsl.instants import SECOND, format_instant
from dataflows.lines import visible
from delivery.standings import Standing
from membership.deliveries import Attempt, DeadLetter


def json_line(facts: dict[str, Any]) -> str:
    return msgspec.json.encode(facts).decode()


def standing_text(one: Standing) -> Iterator[str]:
    """A line for each thing that is to be said."""
    state, lag = one.state, one.lag
    since = f" since {format_instant(state.since)}" if state and state.since else ""
    why = f": {visible(one.why)}" if one.why else ""
    yield f"{visible(one.sync.key)}  {one.status}{since}{why}"
    yield f"  audience {visible(one.sync.audience)}, destination {visible(one.sync.destination)}"
    if state is None or lag is None:
        yield "  no job has begun it yet"
    else:
        behind = "nothing"
        if lag.transitions:
            behind = f"{lag.transitions:,} transitions, {lag.age / SECOND:,.1f} s"
        yield f"  behind the journal: {behind}"
        yield (
            f"  sent {state.sent:,}, failed {state.failed:,}, retried {state.retried:,}, "
            f"dead {state.dead:,}"
        )
    if one.parked:
        since = f", tried since {format_instant(one.parked_since)}" if one.parked_since else ""
        yield f"  parked: {one.parked:,}{since}"
    if one.population is not None and not one.population.is_complete:
        yield "  the members that it begins with are being sent"
    if one.dead_letters:
        yield f"  dead letters: {one.dead_letters:,} (usher dead-letters --sync {one.sync.key})"
    if state is not None and state.failed_at and not one.why:
        yield f"  last error {format_instant(state.failed_at)}: {visible(state.reason)}"
    if one.asked:
        yield f"  asked for, and not taken up yet: {', '.join(one.asked)}"


def attempt_text(number: int, one: Attempt) -> Iterator[str]:
    reason = f": {visible(one.reason)}" if one.reason else ""
    noun = "message" if one.messages == 1 else "messages"
    yield (
        f"#{number}  {format_instant(one.at)}  {one.verdict}{reason}  "
        f"({one.messages} {noun}, {one.duration / SECOND:.3f} s)"
    )
    yield from exchange_text(one.request, one.response, one.status)


def exchange_text(request: str, response: str, status: int) -> Iterator[str]:
    """What was said, as it is kept: secrets and personal values are masked."""
    yield from _block("> ", request)
    if status:
        yield f"  < {status}"
    yield from _block("< ", response)


def letter_text(sync: str, one: DeadLetter) -> str:
    return (
        f"{format_instant(one.at)}  {one.id}  {visible(sync)}  {visible(one.user_id)}  "
        f"{visible(one.reason)}"
    )


def letter_details_text(sync: str, one: DeadLetter) -> Iterator[str]:
    yield letter_text(sync, one)
    yield f"  attempts: {one.attempts}"
    yield from _block("", one.record)
    yield from exchange_text(one.request, one.response, one.status)


def _block(mark: str, text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"  {mark}{visible(line)}".rstrip()
