"""Records: the lines of a log, and which partition each belongs to.

An event is a line of JSON in its source's form.  What could not be read is a letter, which says
why.
"""

from __future__ import annotations

import reprlib
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from connectors.collected.frames import LETTERS
from connectors.sources.chunks import EXCERPT
from connectors.sources.formats import FORMATS
from connectors.sources.texts import read_id

Event = Mapping[str, object]

# By partition.
Lines = Sequence[tuple[int, bytes]]


class Letter(msgspec.Struct, frozen=True):
    """What a client sent that could not be read: why, and how it begins."""

    reason: str
    excerpt: str


class Records(NamedTuple):
    """What is written of one request, and how much of it are events and letters."""

    lines: Lines = ()
    events: int = 0
    letters: int = 0


def records_of(
    events: Sequence[Event], letters: Sequence[Letter], form: str, partitions: int
) -> Records:
    """Each record's line and partition; one user's events are all in one.

    Who that is, is told by the first of the format's identities that an event carries, read as the
    job reads it.  An event that cannot be written becomes a letter.
    """
    encode = msgspec.json.Encoder().encode
    identities = FORMATS[form].identities
    lines: list[tuple[int, bytes]] = []
    buried = list(letters)
    for event in events:
        try:
            line = encode(event)
        except (ValueError, TypeError, OverflowError, RecursionError):
            begin = reprlib.repr(event)[:EXCERPT]
            buried.append(Letter("JSON has nothing like one of its values", begin))
            continue
        lines.append((_partition(event, identities, partitions), line))
    written = len(lines)
    lines += [(LETTERS, encode(letter)) for letter in buried]
    return Records(lines, written, len(buried))


def _partition(event: Event, identities: Sequence[str], partitions: int) -> int:
    for identity in identities:
        if user := read_id(event.get(identity)):
            return zlib.crc32(user.encode("utf-8", "replace")) % partitions
    return 0
