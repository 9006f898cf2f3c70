"""Transitions of one user to look at a sync with: the last recorded ones, or made-up ones."""

from __future__ import annotations

import msgspec

from audience_dsl.definitions import AudienceDefinition
from audience_dsl.instants import format_instant, read_instant
from engine.records import ENTERED, EXITED, TransitionRecord, transition_ids
from membership.facts import JournalEntry
from membership.reader import MembershipReader

# Transitions that are looked through for those of the user.
_LOOKED_THROUGH = 50_000


def first_member(reader: MembershipReader, audience: AudienceDefinition) -> str | None:
    """Somebody who is a member."""
    members = reader.members(audience.parent_model, audience.key, limit=1)
    return members[0].user_id if members else None


def sample_entries(
    reader: MembershipReader | None,
    audience: AudienceDefinition,
    version: str,
    user_id: str,
    now: int,
) -> tuple[JournalEntry, JournalEntry]:
    """An entry and the exit that follows it; both are as recorded, as far as they are of late.

    Args:
        reader: `None` where nothing has been recorded.
        version: The audience's, for what is made up.
        now: The wall clock, likewise.
    """
    recorded = [] if reader is None else _recorded(reader, audience, user_id)
    entries = [one for one in recorded if one.record.type == ENTERED]
    if not entries:
        member = None if reader is None else _membership(reader, audience, user_id)
        sequence, since, cause = member or (1, now, {"kind": "event"})
        entry = JournalEntry(0, _entry(audience, version, user_id, sequence, since, cause, now))
        return entry, _exit(entry, now)
    entry = entries[-1]
    follows = [one for one in recorded if one.record.sequence == entry.record.sequence + 1]
    return entry, follows[0] if follows else _exit(entry, now)


def _recorded(
    reader: MembershipReader, audience: AudienceDefinition, user_id: str
) -> list[JournalEntry]:
    after = reader.position_before(_LOOKED_THROUGH)
    page = reader.transitions(after, audience=audience.key, user_id=user_id)
    return page.entries


def _membership(
    reader: MembershipReader, audience: AudienceDefinition, user_id: str
) -> tuple[int, int, dict[str, str]] | None:
    for one in reader.memberships(user_id, audience.parent_model):
        if one.audience == audience.key:
            return one.sequence, read_instant(one.since) or 0, one.cause
    return None


def _entry(
    audience: AudienceDefinition,
    version: str,
    user_id: str,
    sequence: int,
    since: int,
    cause: dict[str, str],
    now: int,
) -> TransitionRecord:
    return TransitionRecord(
        transition_ids(audience.parent_model, audience.key)(user_id, sequence, since),
        ENTERED,
        audience.key,
        version,
        audience.parent_model,
        user_id,
        format_instant(since),
        sequence,
        cause,
        format_instant(now),
    )


def _exit(entry: JournalEntry, now: int) -> JournalEntry:
    record = entry.record
    sequence = record.sequence + 1
    return JournalEntry(
        0,
        msgspec.structs.replace(
            record,
            id=transition_ids(record.parent_model, record.audience)(record.user_id, sequence, now),
            type=EXITED,
            effective_at=format_instant(now),
            sequence=sequence,
            cause={"kind": "window_expired"},
            emitted_at=format_instant(now),
        ),
    )
