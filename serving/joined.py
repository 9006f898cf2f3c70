"""A connection's transport: what is written to it in one turn of the event loop is sent after it.

Uvicorn writes the head of an answer, then its body, and each write wakes whoever waits for it.
Where all cores are busy, the one who is woken takes the server's: between any two of the requests
that have come together, and with half an answer.
"""

from __future__ import annotations

import asyncio
from typing import Final

from typing_extensions import override

# Bytes that wait at most: more of them are sent at once, and seen by who looks at what is not read.
_MOST: Final = 16 << 10


class Joined(asyncio.Transport):
    """For what Uvicorn does with a transport."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes | bytearray | memoryview] = []
        self._size = 0

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= _MOST:
            self._send()

    @override
    def close(self) -> None:
        self._send()
        self._transport.close()

    @override
    def abort(self) -> None:
        self._forget()
        self._transport.abort()

    @override
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    @override
    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + self._size

    def _send(self) -> None:
        data = b"".join(self._waiting)
        self._forget()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _forget(self) -> None:
        self._waiting.clear()
        self._size = 0
