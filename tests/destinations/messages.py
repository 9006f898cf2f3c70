"""Transitions to send, and what an answer says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from connectors.destinations.destination import Answer, Message, Verdict

# Ids as people and machines make them; all are legal.
USERS = ["u1", "ß\n€", 'o\'neil "x"', "😀{1}*", "a b:c/d", "\\n%s,", "x" * 250]


def message(user: str, sequence: int, mapped: dict[str, Any] | None = None, **more: Any) -> Message:
    """Odd sequences are entries; ids are like those of transitions."""
    entered = bool(sequence % 2)
    identity = f"{abs(hash_of(user)):024x}{sequence:08x}"
    record = {
        "id": identity,
        "type": "entered" if entered else "exited",
        "audience": "keen",
        "audience_version": "v1",
        "parent_model": "users",
        "user_id": user,
        "effective_at": f"2026-03-01T10:{sequence // 60 % 60:02}:{sequence % 60:02}.000001Z",
        "sequence": sequence,
        "cause": {"kind": "event", "message_id": "m-✓"},
        "emitted_at": f"2026-03-01T10:{sequence // 60 % 60:02}:{sequence % 60:02}.100000Z",
        **more,
    }
    return Message(identity, user, entered, record, mapped)


def hash_of(user: str) -> int:
    """Some number, the same in every run."""
    return int.from_bytes(user.encode()[:12], "big")


def story(users: Sequence[str], length: int) -> list[Message]:
    """All users enter and leave in turns."""
    return [message(user, sequence) for sequence in range(1, length + 1) for user in users]


def verdicts(answer: Answer) -> set[Verdict]:
    return {one.verdict for one in answer.outcomes}


def texts(answer: Answer) -> str:
    """All that people may come to see of an answer."""
    reasons: Iterable[str] = (one.reason for one in answer.outcomes)
    return "\n".join([*reasons, answer.exchange.request, answer.exchange.response])
