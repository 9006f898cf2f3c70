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

# Of the events of one request, written out.  What a batch says of all its events at once stands in
# each of them, so a body that is small may have large ones.
_MOST_BYTES = 16 << 20


class Letter(msgspec.Struct, frozen=True):
    """What a client sent that could not be read: why, and how it begins."""

    reason: str
    excerpt: str


def lines_of(
    events: Sequence[Event], letters: Sequence[Letter], form: str, partitions: int
) -> list[tuple[int, bytes]]:
    """Each record's line and partition; one user's events are all in one.

    Who that is, is told by the first of the format's identities that an event carries.  An event
    that cannot be written becomes a letter.
    """
    encode = msgspec.json.Encoder().encode
    identities = FORMATS[form].identities
    lines: list[tuple[int, bytes]] = []
    refused: list[Letter] = []
    size = 0
    for event in events:
        if size > _MOST_BYTES:
            refused.append(Letter(f"beyond the {_MOST_BYTES:,} bytes that a request may have", ""))
            continue
        try:
            line = encode(event)
        except (ValueError, TypeError, OverflowError, RecursionError):
            refused.append(Letter("JSON has nothing like one of its values", ""))
            continue
        size += len(line)
        lines.append((_partition(event, identities, partitions), line))
    return lines + [(LETTERS, encode(letter)) for letter in [*letters, *refused]]


def _partition(event: Event, identities: Sequence[str], partitions: int) -> int:
    for identity in identities:
        if user := event.get(identity):
            return zlib.crc32(str(user).encode("utf-8", "replace")) % partitions
    return 0
