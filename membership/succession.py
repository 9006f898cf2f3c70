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

from collections.abc import Mapping, Sequence

from engine.cargo import unloaded
from engine.transitions import Cause
from membership.proposals import Proposals

Key = tuple[int, str, int]  # key group, user and audience, whose numbers are the store's


# The last transition of a user and audience: sequence, instant, and the proposer's sequence.
Head = tuple[int, int, int]
_NOBODY = (0, -(1 << 63), 0)

# A row of `heads`, and one of `journal` without its position and when it is written.  Plain
# tuples: by the hundred thousand, named ones would take as long to make as the database takes,
# and then longer still, as the garbage collector goes through them again and again.
HeadRow = tuple[int, str, int, int, int, int, int, str]
EntryRow = tuple[int, str, str, int, int, int, str, str | None]


class Succession:
    """The heads of some users, as they become while proposals are judged one after another."""

    def __init__(self, heads: Mapping[Key, Head]) -> None:
        self._heads = dict(heads)
        self._changed: dict[Key, HeadRow] = {}

    @property
    def changed(self) -> list[HeadRow]:
        """The heads that are no more what they were."""
        return list(self._changed.values())

    def accept(self, proposals: Proposals, numbers: Sequence[int]) -> list[EntryRow]:
        """The proposals that follow, in their order.

        Args:
            numbers: The store's number of each of the proposals' audiences.
        """
        heads, changed = self._heads, self._changed
        versions, key_group = proposals.versions, proposals.key_group
        accepted: list[EntryRow] = []
        for user_id, own_audience, effective_at, proposed, cause, loaded in zip(
            proposals.user_ids,
            proposals.audiences,
            proposals.effective_at,
            proposals.sequences,
            proposals.causes,
            proposals.details,
            strict=True,
        ):
            audience = numbers[own_audience]
            key = (key_group, user_id, audience)
            last, since, last_proposed = heads.get(key, _NOBODY)
            sequence = last + 1
            if (sequence ^ proposed) & 1:  # of the head's kind; or nobody has entered yet
                continue
            instant = effective_at
            if cause == _RECONCILED:
                instant = max(instant, since)
            elif instant < since or (instant == since and proposed <= last_proposed):
                continue
            detail, event = unloaded(loaded)
            heads[key] = (sequence, instant, proposed)
            changed[key] = (
                key_group, user_id, audience, sequence, instant, proposed, cause, detail,
            )  # fmt: skip
            accepted.append(
                (audience, versions[own_audience], user_id, sequence, instant, cause, detail, event)
            )
        return accepted


_RECONCILED = int(Cause.RECONCILED)
