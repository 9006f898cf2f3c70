"""What every destination is to those who deliver to it: one call that says how it went.

A destination keeps nothing between two calls that matters: order, repetition, waiting and
giving up are the business of whoever calls it (`delivery`).  It turns messages into its own wire
format, and what comes back into outcomes that mean the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Message:
    """One transition on its way to one sync.

    `id` is the transition's: the same whenever it is sent again, and so is everything else here.
    `record` is the transition record with its keys in their order; `mapped` is what the sync's
    mapping made of it, `None` where the sync has none.
    """

    id: str
    user_id: str
    entered: bool
    record: Record
    mapped: Record | None = None

    @property
    def body(self) -> Record:
        """What a destination sends that adds nothing of its own."""
        return self.record if self.mapped is None else self.mapped


class Verdict(StrEnum):
    """What is to be done about a message after an attempt."""

    ACCEPTED = "accepted"
    RETRY = "retry"  # the same again, later: out of reach, overloaded, in doubt
    REJECTED = "rejected"  # it will never be taken: a dead letter
    TOO_LARGE = "too_large"  # taken in smaller batches, perhaps; alone it is rejected
    REFUSED = "refused"  # the credentials are: the sync pauses, nothing is dropped
    GONE = "gone"  # the destination is no more: the sync is disabled


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reason` is for people, without secrets; `wait` is how long one is told to, or `None`."""

    verdict: Verdict
    reason: str = ""
    wait: int | None = None  # microseconds


ACCEPTED = Outcome(Verdict.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was said, for the log: secrets and personal values are masked, long texts are cut.

    `status` is that of HTTP; 0 where there was no answer or the protocol has none.
    """

    request: str
    response: str = ""
    status: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One outcome for each message that was sent, in their order."""

    outcomes: Sequence[Outcome]
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` requests within any `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a destination takes: messages in a request, requests at once, requests in time."""

    messages: int = 1
    requests: int = 8
    windows: tuple[Window, ...] = ()


class Destination(Protocol):
    """Opened when it is made; belongs to one sync and one event loop.

    A destination whose client blocks runs it in a thread of its own; it never blocks the loop.
    """

    @property
    def capacity(self) -> Capacity: ...

    async def send(self, messages: Sequence[Message]) -> Answer:
        """Bring messages there in one request, in their order.

        Accepted means: safe there.  Never raises for what the other side or the network does.
        """

    async def test(self) -> None:
        """Find out whether it can be reached with these settings, without sending a message.

        Raises:
            DestinationError: it cannot; the text says why and what to do.
        """

    async def close(self) -> None:
        """Let go of connections and threads."""
