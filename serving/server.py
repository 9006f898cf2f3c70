"""The server's thread: uvicorn's event loop beside a job, or alone in its process.

One loop has both doors, the public one and the one for metrics.  Signals are not its business: who
has started it ends it.  What a client does wrong is answered, not logged: otherwise anybody could
fill the log.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from socket import socket
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp
from typing_extensions import override

from dataflows.preparation import tell
from serving.addresses import Doors
from serving.certificates import Renewing
from serving.connections import Connection
from serving.guard import fault

# Seconds for which a connection may be silent, and for which one that is being answered may delay
# the end.
_IDLE = 60
_PATIENCE = 5

# Seconds for which a client may take to agree on how to speak TLS.
_HANDSHAKE = 10.0


class _Loop(uvloop.Loop):
    """Uvicorn leaves open how long a handshake may take."""

    @override
    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = _HANDSHAKE
        return await super().create_server(*arguments, **options)


class Server:
    """Answers from `start` until `end`."""

    def __init__(self, doors: Doors, public: ASGIApp | None, admin: ASGIApp) -> None:
        self._doors: list[tuple[uvicorn.Server, socket]] = []
        self._shown = None if doors.certificate is None else Renewing(doors.certificate)
        if doors.public is not None and public is not None:
            self._doors.append((_server(public, self._shown), doors.public))
        if doors.admin is not None:
            self._doors.append((_server(admin, None), doors.admin))
        self._thread = threading.Thread(target=self._run, name="usher-http", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Return when all that was asked is answered, or after some seconds."""
        for server, _ in self._doors:
            server.should_exit = True
        self._thread.join(2 * _PATIENCE)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._serve())
        except Exception as error:  # noqa: BLE001  the job does not depend on it
            tell(f"http: the server has ended: {fault(error)}")

    async def _serve(self) -> None:
        renewing = None if self._shown is None else asyncio.create_task(self._shown.renew())
        await asyncio.gather(*(server.serve(sockets=[door]) for server, door in self._doors))
        if renewing is not None:
            renewing.cancel()


def _server(app: ASGIApp, shown: Renewing | None) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        loop="none",  # it is given one
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_PATIENCE,
        ssl_context_factory=None if shown is None else lambda _config, _usual: shown.context,
    )
    return uvicorn.Server(config)


@contextmanager
def serving(
    doors: Doors, public: ASGIApp | None, admin: ASGIApp, ending: Callable[[], None]
) -> Iterator[None]:
    """What is asked within is answered; `ending` is called before that ends."""
    with closing(doors):
        server = Server(doors, public, admin)
        server.start()
        try:
            yield
        finally:
            ending()
            server.end()
