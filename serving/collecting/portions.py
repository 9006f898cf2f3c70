"""What a request brings to which source.

Calls of Segment's protocol name a write key, one for all of a request.  Payloads of Snowplow's
name an app id, each its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from connectors.collected.records import Letter, Records
from connectors.sources.chunks import excerpt
from connectors.sources.requests.batches import Event
from connectors.sources.requests.calls import open_calls, read_calls
from connectors.sources.requests.payloads import read_payloads
from connectors.sources.requests.request import Received, Rejected, Request, write_key_of
from serving.collecting.streams import Stream, Streams


class Portion(NamedTuple):
    """Events, and why others are none; no records if the stream's log cannot be written."""

    stream: Stream
    records: Records


class UnknownSender(Exception):
    """Nobody collects for whoever has sent this."""


def check_sender(request: Request, streams: Streams) -> None:
    """Before a body of calls is read: the write key may stand before it.

    Raises:
        UnknownSender: it does, and no source has it.
    """
    told = write_key_of(request, None)
    if told is not None and streams.of_key(told) is None:
        raise UnknownSender


def portions_of_calls(
    request: Request, streams: Streams, known: Stream | None = None
) -> list[Portion]:
    """All of it is for one source: the one that is `known`, or that of its write key.

    Raises:
        UnknownSender: no source has that.
        TooLong: its body or its batch is longer than it may be.
    """
    content, rejected = open_calls(request)
    told = write_key_of(request, content)
    stream = known or streams.of_key(told)
    if stream is None and told is None and rejected and request.method != "POST":
        stream = _only(streams.of_calls)  # a pixel's key is in what could not be read
    if stream is None:
        raise UnknownSender
    received = Received(rejected=rejected)
    if content is not None:
        received = read_calls(request, content, stream.form)
    return [_portion(stream, received.events, _letters(received.rejected))]


def portions_of_payloads(request: Request, streams: Streams) -> list[Portion]:
    """Each event is for the source of its app id, also one that is broken.

    What does not say whose it is, or is nobody's, is kept by the source that others in the request
    are for, or a query names; or by the only one, if nothing in it is anybody else's.

    Raises:
        UnknownSender: no source has any of its app ids.
        TooLong: its body or its batch is longer than it may be.
    """
    received = read_payloads(request)
    events: dict[Stream, list[Event]] = {}
    letters: dict[Stream, list[Letter]] = {}
    astray: list[Letter] = []
    for event in received.events:
        stream = streams.of_app(event.get("app_id"))
        if stream is None:
            begin = excerpt(msgspec.json.encode(event))
            astray.append(Letter("an event of an app id that no source has", begin))
        else:
            events.setdefault(stream, []).append(event)
    for one in received.rejected:
        stream = streams.of_app(one.sender)
        its = astray if stream is None else letters.setdefault(stream, [])
        its.append(Letter(one.reason, one.excerpt))
    if astray:
        holder = next(iter([*events, *letters]), None) or streams.of_app(request.parameter("aid"))
        if holder is None and not (received.events or any(one.sender for one in received.rejected)):
            holder = streams.only_of_apps
        if holder is None:
            raise UnknownSender
        letters.setdefault(holder, []).extend(astray)
    return [
        _portion(stream, events.get(stream, ()), letters.get(stream, ()))
        for stream in dict.fromkeys([*events, *letters])
    ]


def _only(streams: Sequence[Stream]) -> Stream | None:
    return streams[0] if len(streams) == 1 else None


def _portion(stream: Stream, events: Sequence[Event], letters: Sequence[Letter]) -> Portion:
    """What is written is made here, where it may take long, and not where it is kept."""
    for event in events:
        stream.instants.settle(event)
    return Portion(stream, stream.log.records_of(events, letters) if stream.log else Records())


def _letters(rejected: Iterable[Rejected]) -> list[Letter]:
    return [Letter(one.reason, one.excerpt) for one in rejected]
