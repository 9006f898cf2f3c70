"""What a lane reads: messages, each with its place in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from connectors.destinations.destination import Message, Record


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A transition that no message could be made of, and why."""

    record: Record
    reason: str


class Entry(NamedTuple):
    """The position of a member of the first population is 0.

    What is `initial` was true before anybody listened; it goes no faster than it may.
    """

    position: int
    message: Message | Unsendable
    is_initial: bool = False
