"""Whatever the other side does, its answer means what the table says, for all that speak HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.destinations.destination import Verdict
from tests.destinations.certificates import Certificates
from tests.destinations.kinds import ACCEPTING, KINDS, message, opened, run, sent, verdicts
from tests.destinations.servers import (
    Asked,
    Behaviour,
    answer,
    close,
    drip,
    flood,
    hang,
    raw,
    reset,
    serving,
)

TABLE = {
    200: "accepted", 201: "accepted", 202: "accepted", 204: "accepted", 207: "accepted",
    300: "rejected", 301: "rejected", 302: "rejected", 303: "rejected", 304: "rejected",
    307: "rejected", 308: "rejected",
    400: "rejected", 401: "refused", 402: "rejected", 403: "refused", 404: "rejected",
    405: "rejected", 406: "rejected", 408: "retry", 409: "rejected", 410: "gone",
    411: "rejected", 413: "too_large", 414: "rejected", 415: "rejected", 418: "rejected",
    422: "rejected", 425: "retry", 429: "retry", 451: "rejected",
    500: "retry", 501: "retry", 502: "retry", 503: "retry", 504: "retry", 507: "retry",
    599: "retry",
}  # fmt: skip
PIECES = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 ", b"HTTP/1.1 999 X\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\n\r\n", b"Content-Length: 3\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n",
    b"Content-Encoding: gzip\r\n", b"Retry-After: 9\r\n", b"Location: //\r\n", b"3\r\nabc\r\n",
    b"{}", b"Set-Cookie: a=b\r\n", b"\x00",
]  # fmt: skip
UNRELIABLE: dict[str, Behaviour] = {
    "reset": reset,
    "closed without an answer": close,
    "half a head": raw(b"HTTP/1.1 200 O"),
    "half a body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"),
    "half a chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"),
    "a wrong length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "endless headers": raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_status_means_what_the_table_says(kind: str) -> None:
    async def story() -> dict[int, str]:
        found = {}

        async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
            body = b"" if status in {204, 304} else ACCEPTING.get(kind, {})
            location = {"Location": "/elsewhere"} if 300 < status < 400 else {}
            await answer(status, body, **location)(asked, writer)

        async with serving(behave) as server:
            destination = opened(kind, server.url)
            for number, status in enumerate(TABLE, 1):
                got = await destination.send([message()])
                found[status] = got.outcomes[0].verdict.value
                assert got.exchange.status == status
                assert len(server.asked) == number, "no redirect is followed, nothing is repeated"
                assert got.outcomes[0].reason or found[status] == "accepted"
            await destination.close()
        return found

    expected = dict(TABLE)
    if kind in {"rudderstack", "slack"}:  # the source or the webhook is not there
        expected[404] = "refused"
    if kind == "onesignal":  # somebody else is changing the user
        expected[409] = "retry"
    if kind in {"iterable", "hubspot"}:  # whose bodies say whether all went well
        expected[204] = "retry"
    if kind == "mixpanel":  # 200 and 400 are what it answers
        expected |= dict.fromkeys((201, 202, 204, 207), "rejected")
        expected[400] = "accepted"  # as the body says, which is that of success here
    assert run(story()) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_what_leaves_doubt_is_tried_again(kind: str) -> None:
    async def story() -> None:
        for name, behave in UNRELIABLE.items():
            async with serving(behave) as server:
                got = await sent(opened(kind, server.url), message())
            assert verdicts(got) == ["retry"], name
            assert got.outcomes[0].reason, name

    run(story())


def test_who_does_not_answer_in_time_is_tried_again() -> None:
    async def one(kind: str, behave: Behaviour) -> None:
        async with serving(behave) as server:
            got = await sent(opened(kind, server.url, timeout=300_000), message())
        assert verdicts(got) == ["retry"]
        assert got.outcomes[0].reason == "no whole answer within 0.3 s"

    async def story() -> None:
        await asyncio.gather(*(one(kind, each) for kind in KINDS for each in (hang, drip)))

    run(story())


def test_who_is_not_there_is_tried_again() -> None:
    async def story() -> None:
        async with serving(close) as server:
            pass
        for kind in KINDS:
            got = await sent(opened(kind, server.url), message())
            assert verdicts(got) == ["retry"]
            assert "cannot be connected to" in got.outcomes[0].reason
        got = await sent(opened("webhook", "https://nobody.invalid"), message())
        assert verdicts(got) == ["retry"]
        assert got.outcomes[0].reason == "nobody.invalid cannot be looked up"

    run(story())


def test_of_an_answer_only_the_beginning_is_read() -> None:
    async def story() -> None:
        async with serving(flood) as server:
            got = await sent(opened("webhook", server.url), message())
        assert verdicts(got) == ["accepted"]
        assert len(got.exchange.response) < 3_000

    run(story())


def test_it_works_again_when_the_other_side_does() -> None:
    async def story() -> None:
        behaviours = iter([reset, answer(503), answer(200)])

        async def behave(asked, writer) -> None:
            await next(behaviours)(asked, writer)

        async with serving(behave) as server:
            destination = opened("webhook", server.url)
            got = [verdicts(await destination.send([message()])) for _ in range(3)]
            await destination.close()
        assert got == [["retry"], ["retry"], ["accepted"]]
        ids = {one.headers["webhook-id"] for one in server.asked}
        assert len(ids) == 1, "a repeat has the id that it had"
        assert len({one.body for one in server.asked}) == 1

    run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_an_accepted_request_whose_answer_was_lost_is_the_same_when_repeated(kind: str) -> None:
    async def story() -> None:
        behaviours = iter([reset, answer(200, ACCEPTING.get(kind, {}))])

        async def behave(asked, writer) -> None:
            await next(behaviours)(asked, writer)

        async with serving(behave) as server:
            for expected in ("retry", "accepted"):
                got = await sent(opened(kind, server.url), message())
                assert verdicts(got) == [expected]
        first, second = server.asked
        assert (first.method, first.target, first.body) == (
            second.method, second.target, second.body,
        )  # fmt: skip

    run(story())


@settings(max_examples=100)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(PIECES)), max_size=6))
def test_whatever_is_answered_there_is_an_outcome(pieces: list[bytes]) -> None:
    async def story() -> None:
        async with serving(raw(b"".join(pieces))) as server:
            for kind in ("webhook", "mixpanel"):
                got = await sent(opened(kind, server.url, timeout=2_000_000), message())
                assert len(got.outcomes) == 1

    run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_sent_there_is_an_outcome(kind: str) -> None:
    odd = [
        "\ud800",
        "\x00",
        "\r\nX: 1",
        "..",
        "../../x",
        "?#&",
        "\u202e",
        "x" * 10_000,
        "{{ id }}",
        "💥",
    ]

    async def story() -> None:
        async with serving(answer(200, ACCEPTING.get(kind, {}))) as server:
            destination = opened(kind, server.url)
            for user in odd:
                mapped = {"user_id": user, "email": user, "text": user, "properties": {user: user}}
                for one in (message(user), message(mapped=mapped), message(mapped={"n": 2**70})):
                    got = await destination.send([one])
                    assert verdicts(got)[0] in {"accepted", "rejected"}
            await destination.close()

    run(story())


@pytest.mark.parametrize("kind", ["webhook", "http", "segment"])
def test_closing_ends_what_is_under_way(kind: str) -> None:
    async def story() -> None:
        arrived = asyncio.Event()

        async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await hang(asked, writer)

        async with serving(behave) as server:
            destination = opened(kind, server.url)
            under_way = asyncio.create_task(destination.send([message()]))
            await arrived.wait()
            await destination.close()
            assert verdicts(await under_way) == ["retry"]
            destination = opened(kind, server.url)
            arrived.clear()
            cancelled = asyncio.create_task(destination.send([message()]))
            await arrived.wait()
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            await destination.close()

    run(story())


WAITS = [
    ("Retry_After", "3", 3),
    ("Retry_After", "0", 0),
    ("Retry_After", "1.5", 1.5),
    ("RateLimit_Reset", "7", 7),
    ("X_RateLimit_Reset", "9", 9),
    ("Retry_After", "-3", None),
    ("Retry_After", "soon", None),
    ("Retry_After", "nan", None),
    ("Retry_After", "1e999", None),
    ("Retry_After", "999999999", 3_600),
]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("header", "value", "seconds"), WAITS)
def test_who_tells_to_wait_is_heard(
    status: int, header: str, value: str, seconds: float | None
) -> None:
    async def story() -> None:
        for kind in ("webhook", "http", "segment"):
            async with serving(answer(status, **{header: value})) as server:
                got = await sent(opened(kind, server.url), message())
            wait = got.outcomes[0].wait
            assert verdicts(got) == ["retry"]
            heard = seconds is not None and (status == 429 or header == "Retry_After")
            assert wait == (int((seconds or 0) * 1_000_000) if heard else None)

    run(story())


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504])
@pytest.mark.parametrize("kind", ["webhook", "http"])
def test_a_fault_that_one_message_provokes_keeps_nobody_waiting(kind: str, status: int) -> None:
    async def story() -> None:
        told = {"Retry_After": "1800", "RateLimit_Reset": "1800", "X_RateLimit_Reset": "1800"}
        async with serving(answer(status, **told)) as server:
            got = await sent(opened(kind, server.url), message())
        assert (verdicts(got), got.outcomes[0].wait) == (["retry"], None)

    run(story())


def test_waiting_until_an_instant() -> None:
    async def wait_for(header: str, value: str) -> float:
        async with serving(answer(429, **{header: value})) as server:
            got = await sent(opened("webhook", server.url), message())
        assert got.outcomes[0].wait is not None
        return got.outcomes[0].wait / 1_000_000

    async def story() -> None:
        at = time.time() + 60
        date = format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)
        assert 50 < await wait_for("Retry_After", date) <= 60
        assert 50 < await wait_for("X_RateLimit_Reset", str(int(at))) <= 60
        assert 50 < await wait_for("X_RateLimit_Reset", str(int(at * 1000))) <= 60
        past = format_datetime(datetime.fromtimestamp(at - 3600, UTC), usegmt=True)
        assert await wait_for("Retry_After", past) == 0

    run(story())


# TLS


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@asynccontextmanager
async def talking(content: bytes) -> AsyncIterator[str]:
    """Somebody who talks before anybody has asked."""

    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    listening.close()


def test_tls_is_verified(certificates: Certificates) -> None:
    async def story() -> None:
        for tls, ca, reason in (
            (certificates.server(), None, "is not to be trusted: unable to get local issuer"),
            (certificates.server(days=-1), certificates.ca, "certificate has expired"),
            (certificates.server("127.0.0.2"), certificates.ca, "mismatch"),
        ):
            async with serving(answer(200), tls) as server:
                for kind in ("webhook", "http", "braze"):
                    more = {} if ca is None else {"ca": str(ca)}
                    got = await sent(opened(kind, server.url, **more), message())
                    assert verdicts(got) == ["retry"]
                    assert reason in got.outcomes[0].reason, got.outcomes[0].reason
                assert server.asked == []
        async with serving(answer(200), certificates.server()) as server:
            got = await sent(opened("webhook", server.url, ca=str(certificates.ca)), message())
            assert verdicts(got) == ["accepted"]
        async with talking(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
            got = await sent(opened("webhook", url), message())
            assert got.outcomes[0].verdict is Verdict.RETRY
            assert "does not speak TLS as it should" in got.outcomes[0].reason

    run(story())
