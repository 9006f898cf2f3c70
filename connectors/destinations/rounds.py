"""Order for each user where a request may be taken in part.

A system that takes some messages of a request and not others must never be given two of the same
user at once: the second could be taken without the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from connectors.destinations.blocking import Item
from connectors.destinations.destination import Outcome, Verdict

_FINAL = frozenset({Verdict.ACCEPTED, Verdict.REJECTED})
_HELD = Outcome(Verdict.RETRY, "it follows one of the same user that has not been taken")


def in_rounds(
    items: Sequence[Item], deliver: Callable[[Sequence[Item]], Sequence[Outcome]]
) -> Sequence[Outcome]:
    """Deliver items in rounds, each with one item of a user at most.

    What follows an item that was neither taken nor rejected is held back.
    """
    outcomes: dict[int, Outcome] = {}
    held: set[str] = set()
    waiting = list(enumerate(items))
    while waiting:
        now: dict[str, tuple[int, Item]] = {}
        later = []
        for number, item in waiting:
            user = item.message.user_id
            if user in held:
                outcomes[number] = _HELD
            elif user in now:
                later.append((number, item))
            else:
                now[user] = (number, item)
        told = deliver([item for _, item in now.values()]) if now else ()
        for (user, (number, _)), outcome in zip(now.items(), told, strict=True):
            outcomes[number] = outcome
            if outcome.verdict not in _FINAL:
                held.add(user)
        waiting = later
    return [outcomes[number] for number in range(len(items))]
