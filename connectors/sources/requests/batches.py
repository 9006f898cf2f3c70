"""The events of one request, each of which stands on its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from connectors.sources.chunks import excerpt
from connectors.sources.exact import Unreadable
from connectors.sources.requests.request import (
    MOST_DEPTH,
    MOST_EVENT_BYTES,
    MOST_EVENTS,
    MOST_REQUEST_BYTES,
    Received,
    Rejected,
    Request,
    TooLong,
    content_of,
)
from connectors.sources.texts import read_id

Event = dict[str, object]
Content = TypeVar("Content")


def open_body(
    request: Request, read: Callable[[bytes], Content]
) -> tuple[Content | None, list[Rejected]]:
    """What `read` makes of a request's body; it raises `Unreadable`, and the body is rejected.

    Raises:
        TooLong: the body is longer than it may be.
    """
    body = request.body
    try:
        body = content_of(request)
        return read(body), []
    except Unreadable as error:
        return None, [Rejected(str(error), excerpt(body))]


def deliver(
    items: Sequence[object],
    received: Received,
    read: Callable[[Event], Event],
    shared: Mapping[str, object] | None = None,
    sender: str = "",
) -> None:
    """Add what `read` makes of each item; it raises `Unreadable` for a broken one.

    `shared` becomes part of every event.  It counts with each, and is looked at once.  `sender`
    names the part of an item that says who has sent it, where each says that itself.

    Raises:
        TooLong: there are more items than a batch may have; none has been added.
    """
    if len(items) > MOST_EVENTS:
        raise TooLong(f"a request has more than {MOST_EVENTS:,} events; send fewer in each")
    beside, fault = _measured(shared or {})
    left = MOST_REQUEST_BYTES
    for item in items:
        begin = ""
        try:
            encoded = _encoded(item)
            begin = excerpt(encoded)
            size = len(encoded) + beside
            event = _checked(item, fault, size=size, left=left)
            left -= size
            received.events.append(read(event))
        except Unreadable as error:
            received.rejected.append(Rejected(str(error), begin, _told(item, sender)))
        except Exception as error:  # noqa: BLE001  the others of its batch are kept
            # Its words may hold what the event does, which the excerpt shows already.
            reason = f"a fault of ours, {type(error).__name__}"
            received.rejected.append(Rejected(reason, begin, _told(item, sender)))


def check_depth(value: object) -> None:
    """Raise `Unreadable` if lists and objects are nested more deeply than an event may have."""
    if _is_deeper(value, MOST_DEPTH):
        raise Unreadable("nested too deeply")


def _told(item: object, name: str) -> str:
    return read_id(item.get(name)) if isinstance(item, dict) else ""


def _measured(shared: Mapping[str, object]) -> tuple[int, str]:
    """The size of what all events share, and what is wrong with it."""
    try:
        check_depth(shared)
        return len(_encoded(shared)), ""
    except Unreadable as error:
        return 0, str(error)


def _encoded(item: object) -> bytes:
    try:
        return msgspec.json.encode(item)
    except RecursionError:
        raise Unreadable("nested too deeply") from None


def _checked(item: object, fault: str, *, size: int, left: int) -> Event:
    if not isinstance(item, dict):
        raise Unreadable("not a JSON object")
    if size > MOST_EVENT_BYTES:
        raise Unreadable(f"longer than the {MOST_EVENT_BYTES:,} bytes that an event may have")
    if fault:
        raise Unreadable(fault)
    if size > left:
        raise Unreadable(f"beyond the {MOST_REQUEST_BYTES:,} bytes that a request may have")
    check_depth(item)
    return item


def _is_deeper(value: object, most: int) -> bool:
    level = _nested([value])
    for _ in range(most):
        if not level:
            return False
        level = _nested(one for outer in level for one in outer)
    return bool(level)


def _nested(values: Iterable[object]) -> list[Collection[object]]:
    """What the lists and objects among some values hold."""
    return [
        one.values() if isinstance(one, dict) else one
        for one in values
        if isinstance(one, (dict, list))
    ]
