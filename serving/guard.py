"""Around everything that is answered: headers that keep browsers safe, and no fault gets out."""

from __future__ import annotations

import time
from typing import Final

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.discretion import fault
from connectors.sentences import Alarm
from dataflows.preparation import tell
from serving.answered import Answered

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_TLS: Final = ((b"strict-transport-security", b"max-age=31536000"),)
_ADDED: Final = "usher.headers"


class Guard:
    """An application of which every answer has these headers, and whose faults end here."""

    def __init__(self, app: ASGIApp, answered: Answered) -> None:
        self._app = app
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        added: list[tuple[bytes, bytes]] = []
        scope[_ADDED] = added
        began = time.perf_counter()

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure = _TLS if scope["scheme"] == "https" else ()
                message["headers"] = [*message["headers"], *_HEADERS, *secure, *added]
                seconds = time.perf_counter() - began
                self._answered.add(_path(scope), message["status"], seconds)
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:  # noqa: BLE001  it was answered; the job goes on
            tell(Alarm(f"http: a fault of ours while answering {_path(scope)}: {fault(error)}"))


def _path(scope: Scope) -> str:
    """As the document has it: what stands in its place may be a user."""
    route = scope.get("route")
    return route.path_format if isinstance(route, Route) else ""


def add_header(request: Request, name: str, value: str) -> None:
    """Let the answer have this one too, whether it will be a problem or not."""
    added: list[tuple[bytes, bytes]] = request.scope[_ADDED]
    added.append((name.encode(), value.encode()))
