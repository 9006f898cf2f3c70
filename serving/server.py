"""The server's thread: uvicorn's event loop beside a job, or alone in its process.

One loop has both doors, the public one and the one for metrics.  Signals are not its business: who
has started it ends it.  What a client does wrong is answered, not logged: otherwise anybody could
fill the log.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from socket import socket
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp
from typing_extensions import override

from connectors.discretion import fault
from connectors.sentences import Alarm
from dataflows.log_lines import tell
from serving.addresses import Doors
from serving.certificates import Renewing
from serving.connections import Connection, ProxiedConnection

# Seconds for which a connection may be silent, and for which one that is being answered may delay
# the end.
_IDLE = 60
_PATIENCE = 5

# Seconds for which a client may take to agree on how to speak TLS.
_HANDSHAKE = 10.0

# The exit code of a process whose server cannot go on.
_FAULT = 1


class _Loop(uvloop.Loop):
    """Uvicorn leaves open how long a handshake may take."""

    @override
    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = _HANDSHAKE
        return await super().create_server(*arguments, **options)


class Server:
    """Answers from `start` until `end`."""

    def __init__(
        self, doors: Doors, public: ASGIApp | None, admin: ASGIApp, shown: Renewing | None
    ) -> None:
        self._doors: list[tuple[uvicorn.Server, socket]] = []
        self._shown = shown
        protocol = ProxiedConnection if doors.is_behind_proxy else Connection
        if doors.public is not None and public is not None:
            self._doors.append((_server(public, self._shown, protocol), doors.public))
        if doors.admin is not None:
            self._doors.append((_server(admin, None, Connection), doors.admin))
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
        except BaseException as error:  # noqa: BLE001  uvicorn ends with SystemExit, too
            tell(Alarm(f"http: the server has ended: {fault(error)}"))
            # Its sockets listen still, and nobody answers; whoever has started it starts it again.
            os._exit(_FAULT)

    async def _serve(self) -> None:
        """Until the end; what looks after the certificate has none."""
        work: list[asyncio.Future[Any]] = [
            asyncio.gather(*(server.serve(sockets=[door]) for server, door in self._doors))
        ]
        if self._shown is not None:
            work.append(asyncio.create_task(self._shown.renew()))
        ended, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for one in ended:
            one.result()


def _server(app: ASGIApp, shown: Renewing | None, protocol: type[Connection]) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        loop="none",  # it is given one
        http=protocol,
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
    doors: Doors,
    public: ASGIApp | None,
    admin: ASGIApp,
    shown: Renewing | None,
    ending: Callable[[], None],
) -> Iterator[None]:
    """What is asked within is answered; `ending` is called before that ends.

    Args:
        shown: The certificate at the public door.
    """
    with closing(doors):
        server = Server(doors, public, admin, shown)
        server.start()
        try:
            yield
        finally:
            ending()
            server.end()
