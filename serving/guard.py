"""Around everything that is answered: headers that keep browsers safe, and no fault gets out."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dataflows.preparation import tell

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

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        added: list[tuple[bytes, bytes]] = []
        scope[_ADDED] = added

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure = _TLS if scope["scheme"] == "https" else ()
                message["headers"] = [*message["headers"], *_HEADERS, *secure, *added]
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:  # noqa: BLE001  it was answered; the job goes on
            tell(f"http: a fault of ours while answering {scope['method']}: {error!r}")


def add_header(request: Request, name: str, value: str) -> None:
    """Let the answer have this one too, whether it will be a problem or not."""
    added: list[tuple[bytes, bytes]] = request.scope[_ADDED]
    added.append((name.encode(), value.encode()))
