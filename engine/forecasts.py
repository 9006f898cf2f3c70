"""What will become of users if nothing happens: when each membership changes by itself.

Time alone changes memberships where events age out.  So a copy of these users' state is carried
forward until nothing of theirs ages out any more, by the engine itself: what it says then is what
it will say, unless an event, a snapshot or a definition comes in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.group import KeyGroup
from engine.state import NEVER


class Foreseen(NamedTuple):
    """A user's place in an audience: a member if `sequence`, of the last transition, is odd.

    `changes_at` is the instant of the next transition; `None` if time alone brings none.
    """

    sequence: int
    changes_at: int | None


def forecast(group: KeyGroup, user_ids: Sequence[str]) -> dict[str, dict[str, Foreseen]]:
    """Of each user, by audience: those that they are in, and those that they will enter."""
    alone = group.apart(user_ids)
    members = alone.members()
    found: dict[str, dict[str, Foreseen]] = {user_id: {} for user_id in user_ids}
    coming = alone.advance(NEVER)
    for user_id, number, instant, sequence in zip(
        coming.users.tolist(),
        coming.audiences.tolist(),
        coming.effective_at.tolist(),
        coming.sequences.tolist(),
        strict=True,
    ):
        audience = group.plan.audiences[number].key
        found[user_id].setdefault(audience, Foreseen(sequence - 1, instant))
    for one in members:
        found[one.user_id].setdefault(one.audience, Foreseen(one.sequence, None))
    return found
