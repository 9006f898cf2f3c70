"""Around everything that is answered: headers that keep browsers safe, and no fault gets out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.discretion import fault
from connectors.sentences import Alarm
from serving.answered import Answered
from serving.reminders import Reminders
from serving.safety import safe

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

# Bytes of an answer that are written at once.
_PART: Final = 16 << 10
_ADDED: Final = "usher.headers"


class Guard:
    """An application of which every answer has these headers, and whose faults end here."""

    def __init__(self, app: ASGIApp, answered: Answered) -> None:
        self._app = app
        self._answered = answered
        self._reminders = Reminders()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        added: dict[bytes, bytes] = {}
        scope[_ADDED] = added
        began = time.perf_counter()

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message["headers"]
                message["headers"] = [*own, *_HEADERS, *safe(scope["scheme"]), *added.items()]
                seconds = time.perf_counter() - began
                self._answered.add(_path(scope), message["status"], seconds)
            for part in _parts(message):
                await send(part)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:  # noqa: BLE001  it was answered; the job goes on
            sentence = f"http: a fault of ours while answering {_path(scope)}: {fault(error)}"
            self._reminders.tell(Alarm(sentence))


def _parts(message: Message) -> Iterator[Message]:
    """A long answer piece by piece, each of which waits until those before it have been taken.

    How far its reader has come would not be seen of one that is written at once.
    """
    body = message.get("body", b"")
    if len(body) <= _PART or message.get("more_body", False):
        yield message
        return
    for begin in range(0, len(body), _PART):
        end = begin + _PART
        yield {**message, "body": body[begin:end], "more_body": end < len(body)}


def _path(scope: Scope) -> str:
    """As the document has it: what stands in its place may be a user."""
    route = scope.get("route")
    return route.path_format if isinstance(route, Route) else ""


def add_header(request: Request, name: str, value: str) -> None:
    """Let the answer have this one too, whether it will be a problem or not.

    Of the same name it has what is said last.
    """
    added: dict[bytes, bytes] = request.scope[_ADDED]
    added[name.encode()] = value.encode()
