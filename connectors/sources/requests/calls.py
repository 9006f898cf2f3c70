"""Calls of Segment's protocol, which RudderStack and Hightouch Events speak too.

One event (`/v1/track`, or `/v1/t` for short) or a batch of them (`/v1/batch`, `/v1/b`,
`/v1/import`, `/beacon/v1/batch`).  Content types say nothing; clients send JSON under any.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec

from audience_dsl.instants import format_instant, read_instant
from connectors.sources.chunks import excerpt
from connectors.sources.exact import Unreadable, read_json
from connectors.sources.requests.batches import deliver, open_body
from connectors.sources.requests.request import (
    Received,
    Rejected,
    Request,
    write_key_of,
)
from connectors.sources.requests.skew import corrected

_PATH = re.compile(r"(?:^|/)v1/([a-z]+)/?")
_BATCHES = frozenset({"batch", "b", "import"})
_CALLS = {name: name for name in ("track", "page", "screen", "identify", "group", "alias")}
_CALLS |= {name[0]: name for name in _CALLS}


def read_calls(request: Request, vendor: str) -> Received:
    """The events of a request; those that are broken are rejected one by one.

    A request that carries no events (settings, preflights, metrics) yields nothing.
    """
    match = _PATH.search(request.path)
    name = match[1] if match and match.end() == len(request.path) else ""
    if name not in _CALLS and name not in _BATCHES:
        return Received(write_key=write_key_of(request, None))
    if request.method == "GET" and "/pixel/" in request.path:
        pixel = {key: _parameter(value) for key, value in request.query}
        content: dict[str, object] | None = pixel
        received = Received(write_key=write_key_of(request, None))
    elif request.method == "POST":
        content, received = open_body(request)
    else:
        return Received(write_key=write_key_of(request, None))
    if content is None:
        return received
    batch = content.get("batch")
    if isinstance(batch, list):
        envelope = content
        deliver(batch, received, lambda one: _delivered(one, envelope, name, request, vendor))
    elif name in _CALLS:
        deliver([content], received, lambda one: _delivered(one, {}, name, request, vendor))
    else:
        received.rejected.append(Rejected("a batch without events", excerpt(request.body)))
    return received


def _delivered(
    event: Mapping[str, object],
    envelope: Mapping[str, object],
    name: str,
    request: Request,
    vendor: str,
) -> dict[str, object]:
    """The event as the vendor's pipeline would deliver it."""
    delivered = dict(event)
    delivered.pop("writeKey", None)
    if not isinstance(event.get("type"), str) and name in _CALLS:
        delivered["type"] = _CALLS[name]
    for shared in ("context", "integrations"):
        outer, inner = envelope.get(shared), event.get(shared)
        if isinstance(outer, dict) and (inner is None or isinstance(inner, dict)):
            delivered[shared] = {**outer, **(inner or {})}
    context = delivered.get("context") or {}
    if request.visitor_address and isinstance(context, dict) and not context.get("ip"):
        delivered["context"] = {**context, "ip": request.visitor_address}
    if not isinstance(event.get("messageId"), str) or not event["messageId"]:
        # The same for every attempt to send the event, which the envelope is not.
        unsent = {key: value for key, value in event.items() if key != "sentAt"}
        content = msgspec.json.encode(unsent, order="sorted")
        delivered["messageId"] = hashlib.blake2b(content, digest_size=16).hexdigest()
    client = event.get("timestamp")
    original = read_instant(event.get("originalTimestamp"))
    original = read_instant(client) if original is None else original
    sent = read_instant(event.get("sentAt"))
    sent = (
        read_instant(envelope.get("sentAt") or request.header("sentat")) if sent is None else sent
    )
    if vendor == "rudderstack" and read_instant(client) is not None:
        happened = read_instant(client)  # RudderStack takes the client's word for it
    elif name == "import":
        happened = original
    else:
        happened = corrected(original, sent, request.received_at)
    instants = {
        "originalTimestamp": original,
        "sentAt": sent,
        "receivedAt": request.received_at,
        "timestamp": request.received_at if happened is None else happened,
    }
    return delivered | {
        key: format_instant(instant) for key, instant in instants.items() if instant is not None
    }


def _parameter(text: str) -> object:
    if not text.startswith(("{", "[")):
        return text
    try:
        return read_json(text)
    except Unreadable:
        return text
