"""What a source is to the job that follows it, and what one of several readers has of it.

A job looks the same to all sources, and all sources to a job: it polls them, and keeps how far they
have come.  Sources with partitions may have several readers, each with partitions of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from connectors.sources.chunks import Chunk


class Followed(Protocol):
    """A source that is read as it grows."""

    caught_up: bool
    """Whether all has been delivered that the source is known to hold."""

    @property
    def reached(self) -> int | None:
        """While it is not caught up: all that arrived before has been delivered.

        `None` where a source cannot tell; then it is the latest arrival.
        """

    def poll(self, limit: int) -> list[Chunk]:
        """What has come: some `limit` bytes, or a little more.  It does not wait for any.

        Raises:
            SourceError: the source cannot be read any further.
            OSError: the same.
        """

    def position(self) -> bytes:
        """How far it has been read: what opens it there again."""

    def close(self) -> None:
        """Let go of whatever is held."""


def _every(_partition: int) -> bool:
    return True


def _at_once() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Portion:
    """What one reader has of a source with partitions.

    `has` tells which partitions are its own.  Once it has read their past, `goes_on` is asked until
    it is time to read what is newer.
    """

    has: Callable[[int], bool] = _every
    goes_on: Callable[[], bool] = _at_once


# Of a reader who is alone.
EVERYTHING = Portion()
