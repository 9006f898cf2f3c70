"""Proposals as short texts: `ann+1` is Ann's entry at second 1, `ann-2` her exit at second 2."""

from __future__ import annotations

import re

from engine.transitions import Cause
from membership.facts import JournalEntry
from membership.proposals import Proposals
from membership.reader import MembershipReader

SECOND = 1_000_000
NOW = 1_000 * SECOND

_STEP = re.compile(r"(\w+)([+-])(\d+)(?:@(\d+))?")


def proposals(
    story: str,
    *,
    audience: str = "keen",
    parent_model: str = "users",
    group: int = 0,
    cause: Cause = Cause.EVENT,
    version: str = "v1",
) -> Proposals:
    """The proposer counts each user's steps from 1, or from where `@` says: `ann+9@3`."""
    steps = [step for step in map(_STEP.fullmatch, story.split()) if step]
    assert len(steps) == len(story.split()), story
    sequences: list[int] = []
    last: dict[str, int] = {}
    for step in steps:
        user, is_entry = step[1], step[2] == "+"
        last[user] = int(step[4]) if step[4] else last.get(user, 0 if is_entry else 1) + 1
        assert last[user] % 2 == is_entry, "a proposer's sequences alternate"
        sequences.append(last[user])
    return Proposals(
        parent_model,
        group,
        (audience,),
        (version,),
        [step[1] for step in steps],
        [0] * len(steps),
        [int(step[3]) * SECOND for step in steps],
        sequences,
        [int(cause)] * len(steps),
        [f"m{step[3]}" if cause is Cause.EVENT else "" for step in steps],
    )


def told(entries: list[JournalEntry]) -> str:
    """The journal as a story, with its own sequences: `ann+1#1 ann-2#2`."""
    return " ".join(
        f"{one.record.user_id}{'+' if one.record.type == 'entered' else '-'}"
        f"{_second(one.record.effective_at)}#{one.record.sequence}"
        for one in entries
    )


def journal(reader: MembershipReader) -> str:
    return told(reader.transitions().entries)


def _second(instant: str) -> int:
    hours, minutes, seconds = instant[11:-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(float(seconds))
