"""What the journal says against what the core says: the transitions that make them agree.

After a crash, the state is resumed from a moment that the journal has passed already.  Once the
events since then have been evaluated again, both should say the same of everybody.  Where they do
not (events that had no arrival of their own came at another instant, a store was restored from a
copy), the core is right about the present, and the journal must not be contradicted silently.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.group import Member
from engine.plan import Plan
from engine.transitions import Cause
from membership.facts import RecordedHead
from membership.proposals import Proposals


def corrections(
    plan: Plan, key_group: int, members: Iterable[Member], heads: Iterable[RecordedHead], at: int
) -> Proposals:
    """The transitions that are missing in the journal, or wrong in it, as of an instant.

    `members` and `heads` are those of the key group.  Audiences that the plan does not have are
    left alone.
    """
    numbers = {audience.key: number for number, audience in enumerate(plan.audiences)}
    inside = {(one.user_id, one.audience): one.sequence for one in members}
    recorded = {
        (head.user_id, head.audience): head.sequence
        for head in heads
        if head.sequence & 1 and head.audience in numbers
    }
    wrong = {who: sequence + 1 for who, sequence in recorded.items() if who not in inside}
    missing = {who: sequence for who, sequence in inside.items() if who not in recorded}
    found = sorted({**wrong, **missing}.items())
    return Proposals(
        plan.parent_model,
        key_group,
        tuple(audience.key for audience in plan.audiences),
        tuple(audience.version for audience in plan.audiences),
        [user_id for (user_id, _), _ in found],
        [numbers[audience] for (_, audience), _ in found],
        [at] * len(found),
        [sequence for _, sequence in found],
        [int(Cause.RECONCILED)] * len(found),
        [""] * len(found),
    )
