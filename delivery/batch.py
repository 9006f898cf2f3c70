"""A batch: what one request of a lane carries, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from connectors.destinations.destination import Exchange, Message, Outcome, Verdict
from delivery.queues import Item
from membership.deliveries import Attempt

# Ids that an attempt is logged with.
_IDS = 20

_WORST_FIRST = (
    Verdict.GONE,
    Verdict.REFUSED,
    Verdict.RETRY,
    Verdict.TOO_LARGE,
    Verdict.REJECTED,
    Verdict.ACCEPTED,
)
_BADNESS = {verdict: number for number, verdict in enumerate(_WORST_FIRST)}


class Batch(NamedTuple):
    """One request, and when it went out."""

    items: list[Item]
    at: int
    is_probe: bool

    @property
    def messages(self) -> list[Message]:
        return [item.message for item in self.items]

    def attempt(self, worst: Outcome, exchange: Exchange, now: int) -> Attempt:
        """How the log shows it, once it is answered."""
        return Attempt(
            self.at,
            now - self.at,
            len(self.items),
            " ".join(item.message.id for item in self.items[:_IDS]),
            str(worst.verdict),
            worst.reason,
            exchange.status,
            exchange.request,
            exchange.response,
        )


def worst_of(outcomes: Sequence[Outcome]) -> Outcome:
    """The one that says most about the destination."""
    return min(outcomes, key=lambda one: _BADNESS[one.verdict])
