"""Calls of Segment's protocol, which RudderStack and Hightouch Events speak too.

One event (`/v1/track`, or `/v1/t` for short; in the query of a pixel, `/v1/pixel/track` or
`/pixel/v1/track`) or a batch of them (`/v1/batch`, `/v1/b`, `/v1/import`, `/beacon/v1/batch`).
Content types say nothing; clients send JSON under any.

Segment's clients for Android, Java and .NET send all they have to `/v1/import`, and say when; a
script that imports history does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, Self

from audience_dsl.instants import format_instant, read_instant
from connectors.sources.chunks import excerpt
from connectors.sources.decoding import read_object
from connectors.sources.requests.batches import Event, deliver, open_body
from connectors.sources.requests.ids import id_of
from connectors.sources.requests.pixels import open_query
from connectors.sources.requests.request import Received, Rejected, Request
from connectors.sources.requests.skew import believed, corrected, is_history
from connectors.sources.texts import read_id

_PATH = re.compile(r"(?:^|/)v1/(?:pixel/)?([a-z]+)/?")
_BATCHES = frozenset({"batch", "b", "import"})
_CALLS = {name: name for name in ("track", "page", "screen", "identify", "group", "alias")}
_CALLS |= {name[0]: name for name in _CALLS}

_SHARED = ("context", "integrations")


def open_calls(request: Request) -> tuple[Event | None, list[Rejected]]:
    """What a request says in its body or, a pixel's, in its query.

    Without a content, that has been rejected, or the request carries no events (settings,
    preflights, metrics).

    Raises:
        TooLong: its body is longer than it may be.
    """
    if not _name_of(request):
        return None, []
    if request.method in ("GET", "HEAD") and "/pixel/" in request.path:
        return open_query(request)
    return open_body(request, read_object) if request.method == "POST" else (None, [])


def read_calls(request: Request, content: Event, vendor: str) -> Received:
    """The events of what a request says; those that are broken are rejected one by one.

    Raises:
        TooLong: a batch has more than it may.
    """
    received = Received()
    name, batch = _name_of(request), content.get("batch")
    if isinstance(batch, list):
        envelope = _Envelope.of(content, request)
        deliver(
            batch,
            received,
            lambda one: _delivered(one, envelope, name, request, vendor),
            envelope.shared,
        )
    elif name in _CALLS:
        envelope = _Envelope.of({}, request)
        deliver([content], received, lambda one: _delivered(one, envelope, name, request, vendor))
    else:
        received.rejected.append(Rejected("a batch without events", excerpt(request.body)))
    return received


class _Envelope(NamedTuple):
    """What a batch says of all its events."""

    shared: dict[str, Event]
    sent_at: int | None

    @classmethod
    def of(cls, content: Mapping[str, object], request: Request) -> Self:
        shared = {key: one for key in _SHARED if isinstance(one := content.get(key), dict)}
        return cls(shared, read_instant(content.get("sentAt") or request.header("sentat")))


def _name_of(request: Request) -> str:
    """What is called, the last part of a path; empty if it is nothing with events."""
    match = _PATH.search(request.path)
    name = match[1] if match and match.end() == len(request.path) else ""
    return name if name in _CALLS or name in _BATCHES else ""


def _delivered(
    event: Event, envelope: _Envelope, name: str, request: Request, vendor: str
) -> Event:
    """The event as the vendor's pipeline would deliver it."""
    delivered = dict(event)
    delivered.pop("writeKey", None)
    if not isinstance(event.get("type"), str) and name in _CALLS:
        delivered["type"] = _CALLS[name]
    for key, outer in envelope.shared.items():
        inner = event.get(key)
        if inner is None or inner == []:  # which is what PHP makes of an object without anything
            delivered[key] = outer
        elif isinstance(inner, dict):
            delivered[key] = {**outer, **inner}
    context = delivered.get("context") or {}
    if request.visitor_address and isinstance(context, dict) and not context.get("ip"):
        delivered["context"] = {**context, "ip": request.visitor_address}
    client = event.get("timestamp")
    original = read_instant(event.get("originalTimestamp"))
    original = read_instant(client) if original is None else original
    sent = read_instant(event.get("sentAt"))
    sent = envelope.sent_at if sent is None else sent
    if not read_id(event.get("messageId")):
        unsent = {key: value for key, value in event.items() if key != "sentAt"}
        delivered["messageId"] = id_of(unsent, original, request)
    if vendor == "rudderstack" and (told := read_instant(client)) is not None:
        happened = believed(told, request.received_at)  # as RudderStack does
    elif name == "import" and (envelope.sent_at is None or is_history(original, sent)):
        happened = believed(original, request.received_at)
    else:
        happened = corrected(original, sent, request.received_at)
    instants = {
        "originalTimestamp": original,
        "sentAt": sent,
        "receivedAt": request.received_at,
        "timestamp": happened,
    }
    return delivered | {
        key: format_instant(instant) for key, instant in instants.items() if instant is not None
    }
