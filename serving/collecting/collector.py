"""The collector as the server has it: a request in, its events on disk, an answer out.

It is called for each of thousands of requests a second, so it is plain ASGI.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from connectors.collected.errors import NotTaken, Overfull
from connectors.discretion import fault
from connectors.sentences import Alarm
from connectors.sources.requests.request import Request, write_key_of
from dataflows.following import wall_clock
from dataflows.preparation import tell
from project.folder import LoadedProject
from serving.collecting.answers import (
    CALLS_TAKEN,
    PAYLOADS_TAKEN,
    PIXEL,
    Answer,
    Refused,
    calls_taken,
    cors,
    later,
    preflight,
    refusal,
    send_answer,
)
from serving.collecting.browsers import address_of, cookie, is_browser, network_user_of
from serving.collecting.figures import Figures, Outcome
from serving.collecting.greetings import settings, source_config
from serving.collecting.paths import METHODS, Kind, Place
from serving.collecting.portions import (
    Portion,
    UnknownSender,
    portions_of_calls,
    portions_of_payloads,
)
from serving.collecting.room import Gone, Room
from serving.collecting.streams import Streams

_UNKNOWN_KEY: Final = refusal(
    400, "unknown_sender", "no source of this server has the write key that was sent"
)
_UNKNOWN_APP: Final = refusal(
    400, "unknown_sender", "no source of this server has the app id that was sent"
)
_NOT_WRITTEN: Final = later(503, "not_written", "events cannot be kept now; send them again", 1)
_FAULT: Final = later(500, "fault", "a fault of ours; what is known of it is in the log", 10)

# Bodies of more bytes are read beside the loop, so that others need not wait: what is compressed
# may become a hundred times as long.
_LONG, _LONG_GZIP = 32 << 10, 1 << 10

# Seconds after a write that has failed for which the server is not ready.  Then it is asked again.
_UNWELL = 5.0
_GZIP = b"\x1f\x8b"


class Collector:
    """To be closed when the server has ended.

    Raises:
        SourceError: the log of a source is damaged, or another process writes to it.
        OSError: a log cannot be written.
    """

    def __init__(self, loaded: LoadedProject, room: Room | None = None) -> None:
        self.figures = Figures()
        self._streams = Streams(loaded)
        self._is_behind_proxy = _is_behind_proxy(loaded)
        self._said = ""
        self._failed: dict[str, float] = {}  # when, by source
        self._room = room or Room()
        self._beside = ThreadPoolExecutor(1, "usher-collector")

    def follow(self, loaded: LoadedProject) -> None:
        """From now on collect for the sources of these definitions."""
        self._streams.follow(loaded)
        self._is_behind_proxy = _is_behind_proxy(loaded)

    def close(self) -> None:
        """Write what waits, then let go."""
        self._beside.shutdown()
        self._streams.close()

    def reasons(self) -> list[str]:
        """Why events cannot be kept at the moment; none if they can."""
        since = time.monotonic() - _UNWELL
        failed = [key for key, at in list(self._failed.items()) if at > since]
        unwritten = sorted({*failed, *self._streams.unwritten})
        return [f"what is sent to source '{key}' cannot be written" for key in unwritten]

    async def answer(self, place: Place, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what it brings is on disk then, or it is told to come again."""
        headers = dict(scope["headers"])
        try:
            answer = await self._answer(place, scope, headers, receive)
        except Gone:
            self.figures.count_request(Outcome.BROKEN_OFF)
            return
        except Refused as refused:
            is_busy = refused.answer.status == 429
            self.figures.count_request(Outcome.OVER_CAPACITY if is_busy else Outcome.REFUSED)
            answer = refused.answer
        except Exception as error:  # noqa: BLE001  it is answered; the server goes on
            self.figures.count_request(Outcome.FAULT)
            tell(Alarm(f"http: a fault of ours while collecting: {fault(error)}"))
            answer = _FAULT
        await send_answer(answer, cors(headers), send)

    async def _answer(
        self, place: Place, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> Answer:
        kind, method = place.kind, scope["method"]
        methods = METHODS[kind]
        if method == "OPTIONS":
            return preflight(headers, methods)
        if method not in methods:
            allow = ((b"allow", ", ".join((*methods, "OPTIONS")).encode()),)
            return refusal(405, "method_not_allowed", f"this path takes {methods[0]}", allow)
        if kind is Kind.NO_EVENTS:
            return CALLS_TAKEN
        if kind is Kind.SETTINGS or kind is Kind.SOURCE_CONFIG:
            return self._greeting(place, scope, headers)
        with self._room.place() as held:
            body = await held.read_body(receive) if method == "POST" else b""
            network_user = network_user_of(headers) if kind is Kind.PAYLOADS else ""
            request = self._request(scope, headers, body, network_user)
            answer = await self._collected(kind, request)
            if network_user and answer.status == HTTPStatus.OK:
                more = cookie(network_user, self._scheme(scope))
                answer = answer._replace(headers=answer.headers + more)
            return answer

    def _greeting(self, place: Place, scope: Scope, headers: Mapping[bytes, bytes]) -> Answer:
        key = place.key or write_key_of(self._request(scope, headers, b""), None) or ""
        stream = self._streams.of_key(key)
        if stream is None:
            self.figures.count_request(Outcome.UNKNOWN_SENDER)
            return _UNKNOWN_KEY._replace(status=404) if place.key else _UNKNOWN_KEY
        if place.kind is Kind.SOURCE_CONFIG:
            return source_config(key, stream)
        return settings(key, headers, self._scheme(scope))

    async def _collected(self, kind: Kind, request: Request) -> Answer:
        is_payloads = kind is Kind.PAYLOADS
        read = portions_of_payloads if is_payloads else portions_of_calls
        most = _LONG_GZIP if request.body.startswith(_GZIP) else _LONG
        try:
            if len(request.body) > most:
                loop = asyncio.get_running_loop()
                portions = await loop.run_in_executor(self._beside, read, request, self._streams)
            else:
                portions = read(request, self._streams)
        except UnknownSender:
            self.figures.count_request(Outcome.UNKNOWN_SENDER)
            return _UNKNOWN_APP if is_payloads else _UNKNOWN_KEY
        source = portions[0].stream.key if portions else ""
        outcome, refused = await self._kept(portions)
        self.figures.count_request(outcome, source)
        self.figures.count_bytes(source, len(request.body))
        if refused is not None:
            return refused
        if is_payloads:
            return PAYLOADS_TAKEN if request.method == "POST" else PIXEL
        return PIXEL if kind is Kind.PIXEL_CALLS else calls_taken(portions[0].stream.form)

    async def _kept(self, portions: Sequence[Portion]) -> tuple[Outcome, Answer | None]:
        """Wait until all is on disk; what is to be answered if not."""
        for portion in portions:
            if portion.stream.log is None:
                return Outcome.NOT_WRITTEN, _NOT_WRITTEN
            began = time.perf_counter()
            try:
                await portion.stream.log.keep(portion.events, portion.letters)
            except Overfull as full:
                message = "more has come than can be written; send it again"
                return Outcome.OVER_CAPACITY, later(429, "over_capacity", message, full.retry_after)
            except NotTaken as error:
                self._failed[portion.stream.key] = time.monotonic()
                self._say(f"http: source '{portion.stream.key}': {error}")
                return Outcome.NOT_WRITTEN, _NOT_WRITTEN
            self.figures.count_kept(
                portion.stream.key,
                len(portion.events),
                len(portion.letters),
                time.perf_counter() - began,
            )
            self._said = ""
            self._failed.pop(portion.stream.key, None)
        return Outcome.TAKEN, None

    def _request(
        self, scope: Scope, headers: Mapping[bytes, bytes], body: bytes, network_user: str = ""
    ) -> Request:
        query = scope["query_string"].decode("latin-1")
        is_behind_proxy = self._is_behind_proxy
        return Request(
            method=scope["method"],
            path=scope["path"].rstrip("/"),
            query=parse_qsl(query, keep_blank_values=True, errors="replace"),
            headers=[(a.decode("latin-1"), b.decode("latin-1")) for a, b in scope["headers"]],
            body=body,
            received_at=wall_clock(),
            visitor_address=address_of(scope, headers, is_behind_proxy=is_behind_proxy)
            if is_browser(headers)
            else "",
            network_user=network_user,
        )

    def _scheme(self, scope: Scope) -> str:
        """How clients reach us: a proxy speaks TLS with them."""
        return "https" if self._is_behind_proxy else str(scope["scheme"])

    def _say(self, why: str) -> None:
        """Once, as long as it is so."""
        if why != self._said:
            self._said = why
            tell(why)


def _is_behind_proxy(loaded: LoadedProject) -> bool:
    """Whether a proxy speaks TLS with clients, and not we."""
    return bool(loaded.project.serving.get("behind_proxy"))
