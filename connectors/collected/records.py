"""Records: the lines of a log, and which partition each belongs to.

An event is a line of JSON in its source's form.  What could not be read is a letter, which says
why.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import msgspec

from connectors.collected.frames import LETTERS
from connectors.sources.formats import FORMATS

Event = Mapping[str, object]


class Letter(msgspec.Struct, frozen=True):
    """What a client sent that could not be read: why, and how it begins."""

    reason: str
    excerpt: str


def lines_of(
    events: Sequence[Event], letters: Sequence[Letter], form: str, partitions: int
) -> list[tuple[int, bytes]]:
    """Each record's line and partition; one user's events are all in one.

    Who that is, is told by the first of the format's identities that an event carries.
    """
    encode = msgspec.json.Encoder().encode
    identities = FORMATS[form].identities
    lines = [(_partition(event, identities, partitions), encode(event)) for event in events]
    return lines + [(LETTERS, encode(letter)) for letter in letters]


def _partition(event: Event, identities: Sequence[str], partitions: int) -> int:
    for identity in identities:
        if user := event.get(identity):
            return zlib.crc32(str(user).encode("utf-8", "replace")) % partitions
    return 0
