"""Transition records: how the world sees a transition.

One record is one JSON object whose keys keep their order.  Its `id` is a digest of what makes the
transition this one and no other (parent model, user, audience, sequence and instant), so the same
transition has the same id whenever and wherever it is computed.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
import numpy as np

from engine.plan import Int64s, Plan
from engine.transitions import EVENT_CAUSE, NO_CONDITION, Cause, Transitions

ENTERED = "entered"
EXITED = "exited"

_ID_BYTES = 16


class TransitionRecord(msgspec.Struct, frozen=True, gc=False):
    """Instants are ISO 8601 in UTC with microseconds.

    `emitted_at` is when the record was written; a backtest, whose output is the same in every
    run, has none.
    """

    id: str
    type: str
    audience: str
    audience_version: str
    parent_model: str
    user_id: str
    effective_at: str
    sequence: int
    cause: dict[str, str]
    emitted_at: str | msgspec.UnsetType = msgspec.UNSET


def format_instants(instants: Int64s) -> list[str]:
    """`2026-03-01T10:00:00.000000Z` for each instant."""
    texts: list[str] = np.datetime_as_string(instants.astype("M8[us]"), timezone="UTC").tolist()
    return texts


def transition_records(
    plan: Plan, transitions: Transitions, pull: str = "", emitted_at: int | None = None
) -> list[TransitionRecord]:
    """The records of some transitions, in their order.

    Args:
        pull: The id of the warehouse pull that was taking force, for those it caused.
        emitted_at: The wall clock, in microseconds; none in a backtest.
    """
    keys = [audience.key for audience in plan.audiences]
    versions = [audience.version for audience in plan.audiences]
    prefixes = [_id_prefix(plan.parent_model, key) for key in keys]
    causes = _causes(plan, pull)
    written = (
        msgspec.UNSET
        if emitted_at is None
        else format_instants(np.array([emitted_at], dtype=np.int64))[0]
    )
    parent_model = plan.parent_model
    return [
        TransitionRecord(
            _digest(f"{prefixes[audience]}{sequence}:{instant}:{user_id}"),
            ENTERED if sequence & 1 else EXITED,
            keys[audience],
            versions[audience],
            parent_model,
            user_id,
            effective_at,
            sequence,
            {"kind": "event", "message_id": message_id}
            if cause == EVENT_CAUSE
            else causes[cause, condition],
            written,
        )
        for user_id, audience, instant, effective_at, sequence, cause, condition, message_id in zip(
            transitions.user_ids,
            transitions.audiences.tolist(),
            transitions.effective_at.tolist(),
            format_instants(transitions.effective_at),
            transitions.sequences.tolist(),
            transitions.causes.tolist(),
            transitions.conditions.tolist(),
            transitions.message_ids,
            strict=True,
        )
    ]


def transition_id(
    parent_model: str, user_id: str, audience: str, sequence: int, effective_at: int
) -> str:
    """32 hexadecimal digits; different transitions are different texts before they are digested."""
    return _digest(f"{_id_prefix(parent_model, audience)}{sequence}:{effective_at}:{user_id}")


def _id_prefix(parent_model: str, audience: str) -> str:
    return f"{len(parent_model)}:{parent_model}{len(audience)}:{audience}"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=_ID_BYTES).hexdigest()


def _causes(plan: Plan, pull: str) -> dict[tuple[int, int], dict[str, str]]:
    """What to write for each cause other than an event, by cause and condition."""
    causes = {
        (int(cause), NO_CONDITION): {"kind": cause.name.lower()}
        for cause in Cause
        if cause not in (Cause.EVENT, Cause.WINDOW_EXPIRED)
    }
    causes[Cause.WAREHOUSE_PULL, NO_CONDITION]["pull"] = pull
    for number, condition in enumerate(plan.conditions):
        kind = Cause.WINDOW_EXPIRED.name.lower()
        causes[Cause.WINDOW_EXPIRED, number] = {"kind": kind, "condition": condition.key}
    return causes
