"""`/v1/stream`: transitions as they are recorded, as server-sent events.

An event's id is its position in the journal.  Where nothing is to be told, the position is, so
that whoever comes back after a silent day goes on from where everybody is.  It is an event without
data, which a browser remembers and tells nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from connectors.discretion import fault
from connectors.sentences import Alarm
from membership.errors import PositionUnusable, StoreError
from serving.admission import Grant
from serving.broadcast import Broadcast, Follower
from serving.connections import ABORT
from serving.limits import limit_of
from serving.parameters import read_cursor, read_parameters
from serving.problems import Problem
from serving.reminders import Reminders
from serving.scopes import Scope as KeyScope
from serving.selections import PARAMETERS, Selection
from serving.service import Service

# Seconds between two signs of life.
_BEAT = 15.0

# Seconds between two looks whether streams are still allowed; what is known of keys is as old.
_LOOK = 0.5

# Seconds that a reader may take for what it was sent before.
_PATIENCE = 20.0

# Milliseconds after which a browser comes back by itself.
_RETRY = 2_000

_STREAMS = 1_000

# Of one visitor: as many tabs as somebody may have.
_OF_VISITOR = 10

_TYPE = "text/event-stream"


class Streams:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._broadcast = Broadcast(service)
        most = limit_of(service.loaded.project.serving, "streams", _STREAMS)
        self._places = _Places(most)
        self._looking: asyncio.Task[None] | None = None
        self._reminders = Reminders()
        self.routes = [Route("/v1/stream", self.stream, methods=["GET"])]
        service.at_end(self._broadcast.end)

    async def stream(self, request: Request) -> Response:
        grant = await self._service.admission.visited(request, KeyScope.AUDIENCES_READ)
        parameters = read_parameters(request, "after", *PARAMETERS)
        selection = Selection.of(grant, parameters)
        after = request.headers.get("last-event-id") or parameters.get("after")
        position = None if after is None else read_cursor(after, "Last-Event-ID or after")
        if request.method == "HEAD":
            return Response(media_type=_TYPE)
        self._places.take(grant)
        try:
            follower = await self._broadcast.follow(selection, position)
        except BaseException:
            self._places.give_back(grant)
            raise
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return _Events(follower, self._places)

    async def _look(self) -> None:
        """As long as there are streams, end those that are no longer allowed."""
        while self._broadcast.followers:
            try:
                await self._end_some()
            except StoreError:
                """Then nothing is told, either."""
            except Exception as error:  # noqa: BLE001  nobody would look from now on
                sentence = f"http: a fault of ours while looking after streams: {fault(error)}"
                self._reminders.tell(Alarm(sentence))
            await asyncio.sleep(_LOOK)

    async def _end_some(self) -> None:
        admission = self._service.admission
        for one in list(self._broadcast.followers):
            if not await admission.still_holds(one.selection.grant, KeyScope.AUDIENCES_READ):
                one.end()


class _Places:
    """So many for all, of which a visitor has few.  Who cannot have one comes back."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._of_visitors: Counter[str] = Counter()

    def take(self, grant: Grant) -> None:
        """Raises Problem: there is none."""
        if self._taken >= self._most:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._most:,} streams are open, and there may be no more of them",
                _LATER,
            )
        if grant.visitor is not None:
            if self._of_visitors[grant.asker] >= _OF_VISITOR:
                raise Problem(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"of this user {_OF_VISITOR} streams are open; close one of them",
                    _LATER,
                )
            self._of_visitors[grant.asker] += 1
        self._taken += 1

    def give_back(self, grant: Grant) -> None:
        self._taken -= 1
        if grant.visitor is not None:
            self._of_visitors[grant.asker] -= 1
            if not self._of_visitors[grant.asker]:
                del self._of_visitors[grant.asker]


_LATER = {"Retry-After": "5"}


class _Events(Response):
    media_type = _TYPE

    def __init__(self, follower: Follower, places: _Places) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._follower = follower
        self._places = places

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_await_end(receive))
        gone.add_done_callback(lambda _: self._follower.roused.set())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._tell(send, gone)
            await _send(send, b"", more=False)
        except TimeoutError:  # it takes too long to read
            scope[ABORT]()
        finally:
            gone.cancel()
            self._follower.leave()
            self._places.give_back(self._follower.selection.grant)

    async def _tell(self, send: Send, gone: asyncio.Task[None]) -> None:
        follower = self._follower
        await _send(send, b"retry: %d\nid: %d\n\n" % (_RETRY, follower.position))
        due = time.monotonic() + _BEAT
        while not gone.done() and not follower.has_ended:
            follower.roused.clear()
            position = follower.position
            try:
                frames = await follower.next_frames()
            except PositionUnusable as lost:
                frames = [_gap(lost)]
                follower.position = lost.first - 1
            except StoreError:
                return  # whoever comes back is told
            if frames:
                await _send(send, b"".join(frames))
            now = time.monotonic()
            if now >= due:
                due = now + _BEAT
                await _send(send, b"id: %d\n\n" % follower.position)
            if follower.position == position:
                await _roused(follower, due - now)


def _gap(lost: PositionUnusable) -> bytes:
    """What came in between cannot be told: who wants to know has to ask for members anew."""
    return b'event: gap\nid: %d\ndata: {"oldest":"%d"}\n\n' % (lost.first - 1, lost.first)


async def _roused(follower: Follower, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await follower.roused.wait()
    except TimeoutError:
        """It is time for a sign of life."""


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    """Raises TimeoutError: what was sent before has not been taken."""
    async with asyncio.timeout(_PATIENCE):
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _await_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        """Nobody asks what else is said."""
