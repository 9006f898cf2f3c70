"""One client's connection: who is slow or endless in what it asks is cut off.

Uvicorn's parser keeps what it is sent until a request's head is complete, however long that is and
takes.  How long bodies may be is up to those who read them (`serving.bodies`,
`serving.collecting.room`).
"""

from __future__ import annotations

import asyncio
import resource
from functools import cache
from typing import cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# In a request's scope: drops the connection, with all that has not been taken of the answer.
ABORT = "usher.abort"

# Bytes that the head of a request may have, and seconds that it and the body may take.
_BYTES_MOST = 64 << 10
_SECONDS_MOST = 30.0
_BODY_SECONDS_MOST = 60.0

# More connections than these are not held, and so many files are left for everything else.
_CONNECTIONS_MOST = 20_000
_FILES_LEFT = 1_000


@cache
def most_connections() -> int:
    """Let the process have as many files as it may; how many of them connections may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS_MOST + _FILES_LEFT
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = max(files, soft)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return min(_CONNECTIONS_MOST, max(files - _FILES_LEFT, files // 2))


class Connection(HttpToolsProtocol):
    _awaits_head = True
    _head = 0  # bytes that have come of it
    _cut: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()
        self._await_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._keep()
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
        self._awaits_head = False
        self._keep()
        self._cut = self.loop.call_later(_BODY_SECONDS_MOST, self.transport.close)
        super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        self._keep()
        super().on_message_complete()

    def _await_head(self) -> None:
        self._awaits_head, self._head = True, 0
        if self._cut is None:
            self._cut = self.loop.call_later(_SECONDS_MOST, self.transport.close)

    def _keep(self) -> None:
        """It has sent in time what it was waited for."""
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
