"""The events of one request, each of which stands on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from connectors.sources.chunks import excerpt
from connectors.sources.decoding import read_object
from connectors.sources.exact import Unreadable
from connectors.sources.requests.request import (
    MOST_DEPTH,
    MOST_EVENT_BYTES,
    MOST_EVENTS,
    Received,
    Rejected,
    Request,
    content_of,
    write_key_of,
)

Event = dict[str, object]


def open_body(request: Request) -> tuple[Event | None, Received]:
    """The object in a request's body, and what is known of the request so far.

    Without an object, the body has been rejected.
    """
    body = request.body
    try:
        body = content_of(request)
        content = read_object(body)
    except Unreadable as error:
        rejected = [Rejected(str(error), excerpt(body))]
        return None, Received([], rejected, write_key_of(request, None))
    return content, Received(write_key=write_key_of(request, content))


def deliver(items: Sequence[object], received: Received, read: Callable[[Event], Event]) -> None:
    """Add what `read` makes of each item; it raises `Unreadable` for a broken one."""
    for item in items[:MOST_EVENTS]:
        begin = ""
        try:
            encoded = _encoded(item)
            begin = excerpt(encoded)
            received.events.append(_shallow(read(_checked(item, len(encoded)))))
        except Unreadable as error:
            received.rejected.append(Rejected(str(error), begin))
    beyond = len(items) - MOST_EVENTS
    if beyond > 0:
        reason = f"{beyond:,} events beyond the {MOST_EVENTS:,} that a batch may have"
        received.rejected.append(Rejected(reason, ""))


def _encoded(item: object) -> bytes:
    try:
        return msgspec.json.encode(item)
    except RecursionError:
        raise Unreadable("nested too deeply") from None


def _checked(item: object, size: int) -> Event:
    if not isinstance(item, dict):
        raise Unreadable("not a JSON object")
    if size > MOST_EVENT_BYTES:
        raise Unreadable(f"longer than the {MOST_EVENT_BYTES:,} bytes that an event may have")
    return item


def _shallow(event: Event) -> Event:
    if _is_deeper(event, MOST_DEPTH):
        raise Unreadable("nested too deeply")
    return event


def _is_deeper(value: object, most: int) -> bool:
    if isinstance(value, dict):
        return most == 0 or any(_is_deeper(one, most - 1) for one in value.values())
    if isinstance(value, list):
        return most == 0 or any(_is_deeper(one, most - 1) for one in value)
    return False
