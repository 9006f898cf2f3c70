"""Bodies of requests, no longer than they may be."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from serving.problems import Problem

_BYTES_MOST = 64 << 10

_X = TypeVar("_X")


async def read_body(request: Request, most: int = _BYTES_MOST) -> bytes:
    """All of it, unless it has more bytes than `most`: then the server drops what still comes.

    The connection stays open.  One that is closed while its client still sends is reset, often
    before the client has seen why.

    Raises:
        Problem: it is too long, or its sender has gone.
    """
    body = bytearray()
    try:
        async for part in request.stream():
            if len(body) + len(part) > most:
                status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                raise Problem(status, f"the body has more than {most:,} bytes")
            body += part
    except ClientDisconnect as gone:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body has ended too early") from gone
    return bytes(body)


def decode_body(body: bytes, type_: type[_X], what: str) -> _X:
    """What the JSON of a body says; `what` it should be is for who has sent something else.

    Raises:
        Problem: it says something else.
    """
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is {what}: {error}") from error
