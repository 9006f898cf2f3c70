"""Bodies of requests, no longer than they may be."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from serving.problems import Problem

_BYTES_MOST = 64 << 10

# Of a body that is too long; of a longer one the rest is not read.
_FORGOTTEN_MOST = 32 << 20

_X = TypeVar("_X")


async def read_body(request: Request, most: int = _BYTES_MOST) -> bytes:
    """All of it, unless it has more bytes than `most`.

    What is too long is read to its end, and forgotten: a connection that is closed while its client
    still sends is reset, often before the client has seen why.

    Raises:
        Problem: it is too long, or its sender has gone.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdecimal() and int(announced[:19]) > _FORGOTTEN_MOST:
        raise _too_long(most, {"Connection": "close"})
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > _FORGOTTEN_MOST:
                raise _too_long(most, {"Connection": "close"})
            if size <= most:
                parts.append(part)
    except ClientDisconnect as gone:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body has ended too early") from gone
    if size > most:
        raise _too_long(most, {})
    return b"".join(parts)


def _too_long(most: int, headers: Mapping[str, str]) -> Problem:
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return Problem(status, f"the body has more than {most:,} bytes", headers)


def decode_body(body: bytes, type_: type[_X], what: str) -> _X:
    """What the JSON of a body says; `what` it should be is for who has sent something else.

    Raises:
        Problem: it says something else.
    """
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is {what}: {error}") from error
