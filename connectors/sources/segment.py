"""Segment's records, as it archives and forwards them; RudderStack and Hightouch forked the form.

One JSON object a line: the call as the client sent it, with `receivedAt`, and with `timestamp`
corrected for the skew of the client's clock.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.sources.decoding import Decoder, read_object
from connectors.sources.format import Format
from connectors.sources.paths import Path
from connectors.sources.shape import Shape

CALLS = frozenset({"page", "screen", "identify", "group", "alias"})


def names_of(values: tuple[object, ...]) -> tuple[str, ...]:
    """A call other than track goes by its type, a track call by the name of its event."""
    call, event = values
    if isinstance(call, str) and call in CALLS:
        return (call,)
    if call in ("track", None) and isinstance(event, str):
        return (event,)
    return ()


def decoder(paths: Iterable[Path]) -> Decoder:
    return Decoder(Shape(paths), read_object, lambda raw: raw)


def segment_shaped(name: str) -> Format:
    """A format with Segment's fields."""
    return Format(
        name=name,
        key="userId",
        identities=("userId", "anonymousId"),
        timestamp="timestamp",
        message_id="messageId",
        arrival="receivedAt",
        naming=("type", "event"),
        names_of=names_of,
        decoder=decoder,
    )


SEGMENT = segment_shaped("segment")
