"""How much of what clients send may be in memory at once, from its first byte to its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Receive

from serving.collecting.answers import Refused, later, refusal
from serving.collecting.figures import Outcome
from serving.shares import Shares

# Bytes: of all requests together, of each beside its body, and of a body.
ALL = 64 << 20
_BESIDE = 8 << 10
_BODY = 4 << 20

_BUSY = later(429, "over_capacity", "more has come than can be taken; send it again", 1)
_TOO_LONG = refusal(
    400, "too_long", f"a request has more than {_BODY:,} bytes; send fewer events in each"
)


class Gone(Exception):
    """Whoever has asked does not wait for the answer."""


@contextmanager
def holding(room: Shares, client: str) -> Iterator[Place]:
    """Where one request is kept, until it has been answered.

    Raises:
        Refused: there is none.
    """
    held = Place(room, client)
    try:
        held.add(_BESIDE)
        yield held
    finally:
        room.give_back(client, held.size)


class Place:
    def __init__(self, room: Shares, client: str) -> None:
        self._room = room
        self._client = client
        self.size = 0

    def add(self, size: int) -> None:
        if not self._room.take(self._client, size):
            raise Refused(_BUSY, Outcome.OVER_CAPACITY)
        self.size += size

    async def read_body(self, receive: Receive) -> bytes:
        """All of a body; what it has after a refusal is not kept.

        Raises:
            Refused: it is too long, or there is no room for it.
            Gone: it has not come to its end.
        """
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Gone
            part = message.get("body", b"")
            if len(body) + len(part) > _BODY:
                raise Refused(_TOO_LONG, Outcome.REFUSED)
            self.add(len(part))
            body += part
            if not message.get("more_body", False):
                return bytes(body)
