"""One client's connection: who is slow or endless in what it asks, or takes, is cut off.

Uvicorn's parser keeps what it is sent until a request's head is complete, however long that is and
takes, and its transport keeps what nobody reads.  How long bodies may be is up to those who read
them (`serving.bodies`, `serving.collecting.room`).

A client may offer to go on in another protocol, as Java's does with HTTP/2.  Uvicorn's parser takes
such a request for one without a body, and what follows for the next; here it is read as if nothing
had been offered.
"""

from __future__ import annotations

import asyncio
import resource
from functools import cache
from http import HTTPStatus
from typing import ClassVar, Final, cast

from httptools import HttpParserError, HttpParserUpgrade
from typing_extensions import override
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.clients import address_of, client_of
from serving.joined import Joined
from serving.problems import raw_problem
from serving.shares import Shares

# In a request's scope: drops the connection, with all that has not been taken of the answer.
ABORT = "usher.abort"

# Bytes that the head of a request may have, and those of all that are being answered together.  One
# that has come before those before it were answered takes so many more.
_BYTES_MOST = 64 << 10
_ALL_BYTES_MOST = 64 << 20
_BESIDE = 2 << 10

# Seconds that the head of a request may take, so many bytes of its body, and its sender to read the
# answer.
_SECONDS_MOST = 30.0
_BODY_SECONDS_MOST = 10.0
_BODY_BYTES_LEAST = 160 << 10
_READ_SECONDS_MOST = 30.0

# Bytes of an answer that wait to be read before more of it is written.
_UNREAD_BYTES_MOST = 64 << 10

# More connections than these are not held, and so many files are left for everything else.
_CONNECTIONS_MOST = 20_000
_FILES_LEFT = 1_000

# Of those beyond, so many are told before they are closed, and have so many seconds to ask.
_REFUSED_MOST = 200
_REFUSED_SECONDS = 2.0

_MALFORMED: Final = raw_problem(HTTPStatus.BAD_REQUEST, "this is not a request of HTTP/1.1")
_TOO_LONG: Final = raw_problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"path and headers have more than {_BYTES_MOST:,} bytes",
)
_BUSY: Final = raw_problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "more is asked at once than can be answered; come again",
    retry_after=5,
)


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


class _Refused(Exception):
    """Ends what the parser is at."""


class Connection(HttpToolsProtocol):
    # Of all heads that have come and are not yet answered.
    heads: ClassVar = Shares(_ALL_BYTES_MOST)

    _client = ""
    _awaits_head = True
    _awaits_body = False
    _has_begun = False  # with what has come just now
    _head = 0  # bytes that have come of it
    _held = 0  # of the heads that are being answered
    _body = 0  # bytes that have come of it while the timer runs
    _refusal: bytes | None = None
    _answered: RequestResponseCycle | None = None  # at the moment, or before
    _cut: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _InTurn(transport, self)
        self.transport = Joined(transport, self.loop)
        transport.set_write_buffer_limits(_UNREAD_BYTES_MOST)
        address = address_of({"client": self.client}, is_behind_proxy=False)
        self._client = client_of(address)
        beyond = len(self.connections) - most_connections()
        if beyond > _REFUSED_MOST:
            transport.abort()
        elif beyond > 0:
            self._refusal = _BUSY
            self._cut = self.loop.call_later(_REFUSED_SECONDS, transport.abort)
        else:
            self._await_head()
            self._watch()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._keep()
        self.resume_writing()
        self._forget_heads()
        self._tell_gone()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            self._refuse(self._refusal)
            return
        self._has_begun = False
        self._parse(data)
        if self._awaits_head and not self.transport.is_closing():
            # What came before the head, in the same piece, is not known.
            size = min(len(data), _BYTES_MOST) if self._has_begun else len(data)
            self._head += size
            if self._head > _BYTES_MOST:
                self._refuse(_TOO_LONG)
            elif not self._hold(size):
                self._refuse(_BUSY)
        elif self._is_silent:
            self._await_head()
        if not self.transport.is_closing():
            self._watch()

    def _parse(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserError:
                self.send_400_response("")
            except HttpParserUpgrade as offer:
                data = self._head_without_offer() + data[offer.args[0] :]
                continue
            return

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % one for one in self.headers if one[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    @override
    def on_message_begin(self) -> None:
        self._has_begun = True
        self._await_head()
        super().on_message_begin()
        cast(dict[str, object], self.scope)[ABORT] = self._abort

    @override
    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT":  # which offers nothing else
            raise _Refused
        if self._is_offer:
            return
        self._awaits_head = False
        self._keep()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > _BYTES_MOST:
            self._refusal = _TOO_LONG
        elif not self._hold(size - self._head + (0 if self._is_next else _BESIDE)):
            self._refusal = _BUSY
        if self._refusal is not None:
            raise _Refused
        self._awaits_body, self._body = True, 0
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        if self._is_offer:
            return
        self._awaits_body = False
        self._keep()
        super().on_message_complete()

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    @override
    def on_response_complete(self) -> None:
        if not self.pipeline:
            self._forget_heads(self._head if self._awaits_head else 0)
        super().on_response_complete()
        self.flow.resume_reading()
        if self.transport.is_closing():
            self._let_read()

    @override
    def send_400_response(self, msg: str) -> None:
        """What has come is no request, or was refused; those before it are answered first."""
        last = cast(RequestResponseCycle | None, self.cycle)
        if last is not None and not last.response_complete:
            is_this_one = last.more_body and not last.response_started
            if self.pipeline or not is_this_one:
                last.keep_alive = False
                return
        self._refuse(self._refusal or _MALFORMED)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._let_read()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    @override
    def timeout_keep_alive_handler(self) -> None:
        self._end()

    @property
    def _is_silent(self) -> bool:
        """Nothing is awaited or answered: it has sent an empty line, which is no request yet."""
        is_awaited = self._cut is not None or self.timeout_keep_alive_task is not None
        return not is_awaited and self.cycle.response_complete

    @property
    def _is_offer(self) -> bool:
        """It comes again without what it offers; to be asked while it is parsed."""
        return bool(self.parser.should_upgrade())

    @property
    def _is_next(self) -> bool:
        """All requests before it have been answered."""
        last = cast(RequestResponseCycle | None, self.cycle)
        return last is None or last.response_complete

    def _await_head(self) -> None:
        self._awaits_head, self._head = True, 0

    def _watch(self) -> None:
        """Let the timer run while more has to come: most requests come whole, and need none."""
        if self._cut is not None:
            return
        if self._awaits_head:
            self._cut = self.loop.call_later(_SECONDS_MOST, self._end)
        elif self._awaits_body:
            self._cut = self.loop.call_later(_BODY_SECONDS_MOST, self._look_at_body)

    def _look_at_body(self) -> None:
        """It ends, or so much more of it comes, while the timer runs."""
        if self._body < _BODY_BYTES_LEAST:
            self._end()
        else:
            self._body, self._cut = 0, None
            self._watch()

    def _keep(self) -> None:
        """It has sent in time what it was waited for."""
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None

    def _hold(self, size: int) -> bool:
        """Whether there is room for so many bytes more of heads, or fewer."""
        has_room = self.heads.take(self._client, size)
        if has_room:
            self._held += size
        return has_room

    def _forget_heads(self, coming: int = 0) -> None:
        """All but so many bytes, of a head that is still to be complete."""
        self.heads.give_back(self._client, self._held - coming)
        self._held = coming

    def _refuse(self, problem: bytes) -> None:
        self.transport.write(problem)
        self.transport.close()
        self._let_read()

    def _let_read(self) -> None:
        """What was written has to be read in time."""
        if self._unread is None:
            self._unread = self.loop.call_later(_READ_SECONDS_MOST, self._abort)

    def _end(self) -> None:
        """Close it; nobody waits for one who has not read what came before."""
        if self.transport.get_write_buffer_size():
            self._abort()
        else:
            self.transport.close()

    def _abort(self) -> None:
        self._tell_gone()
        self.transport.abort()

    def _tell_gone(self) -> None:
        """Uvicorn tells it the last request's answer alone, which may not have begun."""
        self.pipeline.clear()
        if self._answered is not None:
            self._answered.disconnected = True
            self._answered.message_event.set()


class _InTurn(FlowControl):
    """Nothing more is read while a request waits until those before it have been answered."""

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        super().__init__(transport)
        self._connection = connection

    @override
    def resume_reading(self) -> None:
        if not self._connection.pipeline:
            super().resume_reading()


class ProxiedConnection(Connection):
    """All come from one address, the proxy's, which so may hold all that there is."""

    heads: ClassVar = Shares(_ALL_BYTES_MOST, _ALL_BYTES_MOST)
