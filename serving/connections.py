"""One client's connection: who is slow or endless before it has asked anything is cut off.

Uvicorn's parser keeps what it is sent until a request's head is complete, however long that is and
takes.  Bodies are bounded where they are read (`serving.bodies`).
"""

from __future__ import annotations

import asyncio
from typing import cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# In a request's scope: drops the connection, with all that has not been taken of the answer.
ABORT = "usher.abort"

# Bytes that the head of a request may have, and seconds that it may take.
_BYTES_MOST = 64 << 10
_SECONDS_MOST = 30.0


class Connection(HttpToolsProtocol):
    _awaits_head = True
    _head = 0  # bytes that have come of it
    _cut: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._has_head()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._awaits_head:
            self._head += len(data)
            if self._head > _BYTES_MOST:
                self.transport.close()

    @override
    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()
        cast(dict[str, object], self.scope)[ABORT] = self.transport.abort

    @override
    def on_headers_complete(self) -> None:
        self._has_head()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._awaits_head, self._head = True, 0
        if self._cut is None:
            self._cut = self.loop.call_later(_SECONDS_MOST, self.transport.close)

    def _has_head(self) -> None:
        self._awaits_head = False
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
