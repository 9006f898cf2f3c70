"""Proposed transitions: what the core has found, on its way to the journal.

The core may find the same transition more than once, because after a crash it is given the same
inputs again.  So what it finds is a proposal, and the journal decides.  Columns, because there
may be hundreds of thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.plan import Plan
from engine.transitions import NO_CONDITION, Cause, Transitions


@dataclass(frozen=True, slots=True)
class Proposals:
    """Of one key group; for one user in the order in which they happened.

    `audiences` are numbers of `keys` and `versions`.  `sequences` are the proposer's own: their
    parity is the kind (odd: entered), and at one instant the larger one is the later transition.
    `details` are the message id with what it brings along, the condition or the pull that the cause
    speaks of, or "".
    """

    parent_model: str
    key_group: int
    keys: tuple[str, ...]
    versions: tuple[str, ...]
    user_ids: Sequence[str]
    audiences: Sequence[int]
    effective_at: Sequence[int]
    sequences: Sequence[int]
    causes: Sequence[int]
    details: Sequence[str]

    def __len__(self) -> int:
        return len(self.user_ids)


def proposals_of(plan: Plan, key_group: int, transitions: Transitions, pull: str = "") -> Proposals:
    """What a key group of the core has found.

    Args:
        pull: The id of the warehouse pull that was taking force.
    """
    details = {(int(cause), NO_CONDITION): "" for cause in Cause}
    details[Cause.WAREHOUSE_PULL, NO_CONDITION] = pull
    for number, condition in enumerate(plan.conditions):
        details[Cause.WINDOW_EXPIRED, number] = condition.key
    causes = transitions.causes.tolist()
    return Proposals(
        plan.parent_model,
        key_group,
        tuple(audience.key for audience in plan.audiences),
        tuple(audience.version for audience in plan.audiences),
        transitions.users.tolist(),
        transitions.audiences.tolist(),
        transitions.effective_at.tolist(),
        transitions.sequences.tolist(),
        causes,
        [
            message_id or details[cause, condition]
            for message_id, cause, condition in zip(
                transitions.message_ids.tolist(),
                causes,
                transitions.conditions.tolist(),
                strict=True,
            )
        ],
    )
