"""Transition records, written slowly: an object each, encoded by msgspec."""

from __future__ import annotations

import msgspec
import numpy as np

from engine.plan import Plan
from engine.records import TransitionRecord, transition_ids
from engine.transitions import Cause, Transitions


def line_of(record: TransitionRecord) -> str:
    """As a backtest writes it: without the instant at which it is written."""
    fields = msgspec.structs.asdict(record)
    del fields["emitted_at"]
    return msgspec.json.encode(fields).decode() + "\n"


def records_of(plans: list[Plan], transitions: Transitions) -> list[TransitionRecord]:
    """Audiences and conditions are numbered as if those of the plans stood one after the other."""
    audiences = [(plan.parent_model, one) for plan in plans for one in plan.audiences]
    conditions = [one.key for plan in plans for one in plan.conditions]
    found = []
    for row, user in enumerate(transitions.users.tolist()):
        parent, audience = audiences[transitions.audiences[row]]
        sequence = int(transitions.sequences[row])
        effective_at = int(transitions.effective_at[row])
        match Cause(transitions.causes[row]):
            case Cause.EVENT:
                cause = {"kind": "event", "message_id": transitions.message_ids.text(row)}
            case Cause.WINDOW_EXPIRED:
                condition = conditions[transitions.conditions[row]]
                cause = {"kind": "window_expired", "condition": condition}
            case other:
                cause = {"kind": other.name.lower()}
        found.append(
            TransitionRecord(
                transition_ids(parent, audience.key)(user, sequence, effective_at),
                "entered" if sequence % 2 else "exited",
                audience.key,
                audience.version,
                parent,
                user,
                _instant(effective_at),
                sequence,
                cause,
                emitted_at="",
            )
        )
    return found


def _instant(instant: int) -> str:
    return str(np.datetime64(instant, "us")) + "Z"
