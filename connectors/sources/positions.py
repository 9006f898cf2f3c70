"""How far a source has been read, as a job keeps it and gives it back.

Every kind of source has marks of its own.  What they share is a version, and that nothing is read
on from a position that is not understood: then something would be lost, or counted twice.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from connectors.sources.errors import SourceError


class Position(msgspec.Struct, frozen=True):
    """What every position has; a kind of source adds its marks."""

    version: int


P = TypeVar("P", bound=Position)


def recorded_position(position: bytes, kind: type[P], version: int, where: str) -> P:
    """What was recorded of a source, which the errors describe by `where` it is.

    Raises:
        SourceError: it is damaged, or of another version.
    """
    try:
        read = msgspec.json.decode(position, type=kind)
    except msgspec.MsgspecError as error:
        raise SourceError(f"the recorded position {where} is damaged: {error}") from error
    if read.version != version:
        raise SourceError(f"the recorded position {where} has version {read.version}")
    return read
