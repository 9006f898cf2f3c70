"""The rule of the journal: what follows a recorded transition, and what does not.

A proposal is accepted if it is of the other kind than the head, the last recorded transition of
its user and audience, and not before it.  It then becomes the head, with the next sequence.
Everything else has been recorded already, or contradicts what has been, and is left out.

Two transitions of one user and audience can happen at one instant.  There the kind alone would
take the first of them for the follower of the second, when both are proposed again after a crash.
So a head remembers the sequence that its proposer gave it, and at the head's own instant only a
larger one follows.

A proposal with the cause `reconciled` says what is true now, whatever has been recorded: it
follows any head of the other kind, at the head's instant at the earliest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.transitions import Cause
from membership.proposals import Proposals

Key = tuple[int, str, int]  # key group, user and audience, whose numbers are the store's


class Head(NamedTuple):
    """The last transition of a user and audience: a row of `heads`."""

    key_group: int
    user_id: str
    audience: int
    sequence: int
    effective_at: int
    proposed: int
    cause: int
    detail: str


class Entry(NamedTuple):
    """An accepted transition: a row of `journal`, but for its position and when it is written."""

    audience: int
    version: str
    user_id: str
    sequence: int
    effective_at: int
    cause: int
    detail: str


class Succession:
    """The heads of some users, as they become while proposals are judged one after another."""

    def __init__(self, heads: Iterable[Head]) -> None:
        self._heads = {(head.key_group, head.user_id, head.audience): head for head in heads}
        self._changed: dict[Key, Head] = {}

    @property
    def changed(self) -> list[Head]:
        """The heads that are no more what they were."""
        return list(self._changed.values())

    def accept(self, proposals: Proposals, numbers: Sequence[int]) -> list[Entry]:
        """The proposals that follow, in their order.

        Args:
            numbers: The store's number of each of the proposals' audiences.
        """
        heads, changed = self._heads, self._changed
        versions, key_group = proposals.versions, proposals.key_group
        accepted = []
        for user_id, proposed_audience, effective_at, proposed, cause, detail in zip(
            proposals.user_ids,
            proposals.audiences,
            proposals.effective_at,
            proposals.sequences,
            proposals.causes,
            proposals.details,
            strict=True,
        ):
            audience = numbers[proposed_audience]
            key = (key_group, user_id, audience)
            head = heads.get(key)
            sequence = 1 if head is None else head.sequence + 1
            if (sequence ^ proposed) & 1:  # of the head's kind; or nobody has entered yet
                continue
            instant = effective_at
            if head is not None:
                if cause == _RECONCILED:
                    instant = max(instant, head.effective_at)
                elif (instant, proposed) <= (head.effective_at, head.proposed):
                    continue
            changed[key] = heads[key] = Head(
                key_group, user_id, audience, sequence, instant, proposed, cause, detail
            )
            accepted.append(
                Entry(
                    audience,
                    versions[proposed_audience],
                    user_id,
                    sequence,
                    instant,
                    cause,
                    detail,
                )
            )
        return accepted


_RECONCILED = int(Cause.RECONCILED)
