"""The collector as the server has it: a request in, its events on disk, an answer out.

It is called for each of thousands of requests a second, so it is plain ASGI.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from connectors.collected.errors import NotTaken, Overfull
from connectors.discretion import fault
from connectors.sentences import Alarm
from connectors.sources.requests.request import Request, TooLong, write_key_of
from connectors.wall_clock import wall_clock
from project.folder import LoadedProject
from serving.addresses import is_behind_proxy
from serving.clients import address_of, client_of
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
from serving.collecting.browsers import cookie, is_browser, network_user_of
from serving.collecting.figures import Figures, Outcome
from serving.collecting.greetings import settings, source_config
from serving.collecting.paths import METHODS, Kind, Place, plain_path
from serving.collecting.portions import (
    Portion,
    UnknownSender,
    check_sender,
    portions_of_calls,
    portions_of_payloads,
)
from serving.collecting.room import ALL, Gone, holding
from serving.collecting.senders import Senders
from serving.collecting.streams import Streams
from serving.keyring import Keyring
from serving.limits import Limiter, limit_of
from serving.reminders import Reminders
from serving.shares import Shares

Reader = Callable[[Request], list[Portion]]

_NO_SOURCE: Final = "no source of this server has the write key that was sent"
_UNKNOWN_KEY: Final = refusal(400, "unknown_sender", _NO_SOURCE)
_UNKNOWN_KEY_IN_PATH: Final = refusal(404, "unknown_sender", _NO_SOURCE)
_UNKNOWN_APP: Final = refusal(
    400, "unknown_sender", "no source of this server has the app id that was sent"
)
_NOT_WRITTEN: Final = later(503, "not_written", "events cannot be kept now; send them again", 1)
_HEALTHY: Final = PAYLOADS_TAKEN
_FAULT: Final = later(500, "fault", "a fault of ours; what is known of it is in the log", 10)

# Bodies of more bytes or objects are read beside the loop, so that others need not wait.
_LONG, _MANY = 32 << 10, 500

# Seconds after a write that has failed for which the server is not ready.  Then it is asked again.
# As many are between two attempts to open a log.
_UNWELL = 5.0
_GZIP = b"\x1f\x8b"

# Requests a second from one address; a shop's own server may send the events of all its visitors.
_RATE = 10_000


class Collector:
    """To be closed when the server has ended.

    Raises:
        SourceError: the log of a source is damaged, or another process writes to it.
        OSError: a log cannot be written.
    """

    def __init__(self, loaded: LoadedProject, keyring: Keyring, room: Shares | None = None) -> None:
        self.figures = Figures()
        self._streams = Streams(loaded)
        self._senders = Senders(keyring, self._streams)
        self._is_behind_proxy = is_behind_proxy(loaded)
        self._of_addresses = Limiter(
            limit_of(loaded.project.serving, "collector_per_address", _RATE)
        )
        self._reminders = Reminders()
        self._opened_again = -math.inf
        self._failed: dict[str, float] = {}  # when, by source
        self._room = room or Shares(ALL)
        self._beside = ThreadPoolExecutor(1, "usher-collector")

    def follow(self, loaded: LoadedProject) -> None:
        """From now on collect for the sources of these definitions."""
        self._streams.follow(loaded)

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
            self.figures.count_request(refused.outcome)
            answer = refused.answer
        except Exception as error:  # noqa: BLE001  it is answered; the server goes on
            self.figures.count_request(Outcome.FAULT)
            self._reminders.tell(Alarm(f"http: a fault of ours while collecting: {fault(error)}"))
            answer = _FAULT
        await send_answer(answer, cors(headers), scope["scheme"], send)

    async def _answer(
        self, place: Place, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> Answer:
        kind, method = place.kind, scope["method"]
        methods = METHODS[kind]
        if method == "OPTIONS":
            return preflight(headers, methods)
        address = address_of(scope, is_behind_proxy=self._is_behind_proxy)
        client = client_of(address)
        if wait := self._of_addresses.take(client).wait:
            raise Refused(self._too_often(wait), Outcome.TOO_OFTEN)
        if method not in methods:
            allow = ((b"allow", ", ".join((*methods, "OPTIONS")).encode()),)
            return refusal(405, "method_not_allowed", f"this path takes {methods[0]}", allow)
        if kind is Kind.NO_EVENTS:
            return CALLS_TAKEN
        if kind is Kind.HEALTH:
            return _HEALTHY
        if kind is Kind.SETTINGS or kind is Kind.SOURCE_CONFIG:
            return self._greeting(place, scope, headers)
        with holding(self._room, client) as held:
            network_user = network_user_of(headers) if kind is Kind.PAYLOADS else ""
            visitor = address if is_browser(headers) else ""
            request = self._request(scope, visitor, network_user)
            try:
                read = await self._reader(kind, request)
                if method == "POST":
                    body = await held.read_body(receive)
                    request = replace(request, body=body, received_at=wall_clock())
                answer = await self._collected(kind, request, read)
            except UnknownSender:
                self.figures.count_request(Outcome.UNKNOWN_SENDER)
                return _UNKNOWN_APP if kind is Kind.PAYLOADS else _UNKNOWN_KEY
            except TooLong as error:
                answer = refusal(400, "too_long", str(error))
                raise Refused(answer, Outcome.REFUSED) from None
            if network_user and answer.status == HTTPStatus.OK:
                more = cookie(network_user, self._scheme(scope))
                answer = answer._replace(headers=answer.headers + more)
            return answer

    def _greeting(self, place: Place, scope: Scope, headers: Mapping[bytes, bytes]) -> Answer:
        key = place.key or write_key_of(self._request(scope), None) or ""
        stream = self._streams.of_key(key)
        if stream is None:
            self.figures.count_request(Outcome.UNKNOWN_SENDER)
            return _UNKNOWN_KEY_IN_PATH if place.key else _UNKNOWN_KEY
        if place.kind is Kind.SOURCE_CONFIG:
            return source_config(key, stream)
        return settings(key, headers, self._scheme(scope))

    async def _reader(self, kind: Kind, request: Request) -> Reader:
        """What will read a request, as far as its head tells.

        Raises:
            Refused: a key of ours does not allow it.
            UnknownSender: no source has the write key that it has.
        """
        if kind is Kind.PAYLOADS:
            return partial(portions_of_payloads, streams=self._streams)
        stream = await self._senders.stream_of(request)
        if stream is None:
            check_sender(request, self._streams)
        return partial(portions_of_calls, streams=self._streams, known=stream)

    async def _collected(self, kind: Kind, request: Request, read: Reader) -> Answer:
        if _takes_long(request.body):
            loop = asyncio.get_running_loop()
            portions = await loop.run_in_executor(self._beside, read, request)
        else:
            portions = read(request)
        source = portions[0].stream.key if portions else ""
        outcome, refused = await self._kept(portions)
        self.figures.count_request(outcome, source)
        self.figures.count_bytes(source, len(request.body))
        if refused is not None:
            return refused
        if kind is Kind.PAYLOADS:
            return PAYLOADS_TAKEN if request.method == "POST" else PIXEL
        return PIXEL if kind is Kind.PIXEL_CALLS else calls_taken(portions[0].stream.form)

    async def _kept(self, portions: Sequence[Portion]) -> tuple[Outcome, Answer | None]:
        """Wait until all is on disk; what is to be answered if not."""
        for portion in portions:
            if portion.stream.log is None:
                self._open_again()
                return Outcome.NOT_WRITTEN, _NOT_WRITTEN
            began = time.perf_counter()
            try:
                await portion.stream.log.keep(portion.records)
            except Overfull as full:
                message = "more has come than can be written; send it again"
                return Outcome.OVER_CAPACITY, later(429, "over_capacity", message, full.retry_after)
            except NotTaken as error:
                self._failed[portion.stream.key] = time.monotonic()
                self._reminders.tell(Alarm(f"http: source '{portion.stream.key}': {error}"))
                return Outcome.NOT_WRITTEN, _NOT_WRITTEN
            self.figures.count_kept(
                portion.stream.key,
                portion.records.events,
                portion.records.letters,
                time.perf_counter() - began,
            )
            self._failed.pop(portion.stream.key, None)
        return Outcome.TAKEN, None

    def _request(self, scope: Scope, visitor_address: str = "", network_user: str = "") -> Request:
        """All of one but its body."""
        query = scope["query_string"].decode("latin-1")
        return Request(
            method=scope["method"],
            path=plain_path(scope["path"]),
            query=parse_qsl(query, keep_blank_values=True, errors="replace"),
            headers=[(name.decode("latin-1"), _text(value)) for name, value in scope["headers"]],
            body=b"",
            received_at=wall_clock(),
            visitor_address=visitor_address,
            network_user=network_user,
        )

    def _open_again(self) -> None:
        """Beside the loop, and not for each request: reading the end of a log takes a while."""
        now = time.monotonic()
        if now - self._opened_again >= _UNWELL:
            self._opened_again = now
            self._beside.submit(self._streams.open_again)

    def _scheme(self, scope: Scope) -> str:
        """How clients reach us: a proxy speaks TLS with them."""
        return "https" if self._is_behind_proxy else str(scope["scheme"])

    def _too_often(self, wait: float) -> Answer:
        message = f"an address may send {self._of_addresses.rate:,} requests a second; come back"
        return later(429, "too_many_requests", message, math.ceil(wait))


def _text(told: bytes) -> str:
    """The value of a header: UTF-8 as browsers and proxies write it now, or what HTTP once had."""
    try:
        return told.decode()
    except UnicodeDecodeError:
        return told.decode("latin-1")


def _takes_long(body: bytes) -> bool:
    """Whether it may take long to read; what is compressed may be anything."""
    return len(body) > _LONG or body.startswith(_GZIP) or body.count(b"{") > _MANY
