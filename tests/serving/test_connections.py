"""Connections of clients that are slow, gone, too many or no clients: nobody else notices."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import secrets
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from serving import connections
from serving.shares import Shares
from tests.cli.jobs import eventually
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, Server, loaded_from, new_key, project, server
from tests.serving.collected import SOURCES, kept
from tests.serving.recorded import Turn, record
from tests.serving.test_fuzz import resident
from tests.serving.test_tls import write_certificate

ASK = b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(project(tmp_path_factory.mktemp("here") / "project", sources=SOURCES)) as one:
        yield one


def connected(here: Server, buffer: int = 0, address: str = "127.0.0.1") -> socket.socket:
    """From an address; `buffer` bytes may wait to be read, or as many as usual."""
    host, _, port = here.url.partition("://")[2].rpartition(":")
    line = socket.socket()
    line.settimeout(60)
    if buffer:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    line.bind((address, 0))
    line.connect((host, int(port)))
    return line


def is_cut_off(line: socket.socket) -> bool:
    try:
        return line.recv(1000) == b""
    except ConnectionError:
        return True


def all_of(line: socket.socket) -> bytes:
    """What comes until the connection ends."""
    found = b""
    with suppress(ConnectionError):
        while part := line.recv(1 << 16):
            found += part
    return found


def assert_problem(answer: bytes, status: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"content-type: application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head
    assert b"content-security-policy: default-src 'none'" in head
    found = json.loads(body)
    assert set(found) == {"type", "title", "status", "detail", "code", "message"}
    assert found["status"] == status


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"\x16\x03\x01nonsense\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /livez HTTP/9.9\r\n\r\n", 400),
        (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n : x\r\n\r\n", 400),
        (b"POST /v1/t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /?" + b"y" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 12_000 + b"\r\n", 431),
    ],
)
def test_what_is_no_request_is_told_so(here: Server, said: bytes, status: int) -> None:
    with connected(here) as line:
        line.sendall(said)
        assert_problem(all_of(line), status)


def test_an_answer_is_one_packet(here: Server) -> None:
    """Whoever waits for it is woken once."""
    with connected(here) as line:
        for _ in range(20):
            line.sendall(ASK)
            answer = b""
            while not answer.endswith(b"}"):
                answer += line.recv(1 << 16)
        facts = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    (with_data,) = struct.unpack_from("I", facts, 152)  # tcpi_data_segs_in
    assert with_data == 20


def test_answers_to_requests_that_come_together_stay_in_order(here: Server) -> None:
    asked = b"GET /livez HTTP/1.1\r\n\r\n" + b"GET /nowhere HTTP/1.1\r\n\r\n"
    with connected(here) as line:
        line.sendall(asked * 5 + b"GET /openapi.json HTTP/1.1\r\nConnection: close\r\n\r\n")
        answers = all_of(line)
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", answers)
    assert statuses == [b"200", b"404"] * 5 + [b"200"]
    json.loads(answers.rpartition(b"\r\n\r\n")[2])


WRITER = base64.b64encode(b"SEGMENT_WRITE_KEY:")
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


@pytest.mark.parametrize("pieces", [[], [1], [40, 200, 260], list(range(1, 400))])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_offer_of_another_protocol_changes_nothing(
    here: Server, pieces: list[int], *, chunked: bool
) -> None:
    """Java's client makes one with its first request; a body may look like a request."""
    event = {"userId": "u1", "event": "GET / HTTP/1.1\r\n\r\n", "messageId": secrets.token_hex(8)}
    body = json.dumps(event).encode()
    length = b"Content-Length: %d" % len(body)
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        length = b"Transfer-Encoding: chunked"
    head = b"POST /v1/track HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %b\r\n" % WRITER
    said = ASK + head + UPGRADE + length + b"\r\n\r\n" + body + ASK
    with connected(here) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in zip([0, *pieces], [*pieces, len(said)], strict=True):
            line.sendall(said[start:end])
        answers = b""
        while answers.count(b"HTTP/1.1 ") < 3:
            answers += line.recv(1 << 16)
        line.sendall(b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")
        answers += all_of(line)
    told = [one[:3] for one in answers.split(b"HTTP/1.1 ")[1:]]
    assert told == [b"200"] * 4
    assert event["messageId"] in [one["messageId"] for one in kept(here.loaded.root).events]


def test_a_tunnel_is_refused(here: Server) -> None:
    with connected(here) as line:
        line.sendall(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert_problem(all_of(line), 400)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n" * 2_000
        + b"POST / HTTP/1.1\r\nContent-Length: 2000000000\r\n\r\n",
    ],
    ids=["heads", "a body"],
)
def test_requests_that_wait_for_others_take_little(here: Server, said: bytes) -> None:
    """Who sends more than there is room for is cut off, or waits until the first is answered."""
    with connected(here) as line:
        reader = threading.Thread(target=all_of, args=(line,))
        reader.start()
        sizes, ends = [resident(os.getpid())], time.monotonic() + 3
        with suppress(OSError):
            while time.monotonic() < ends:
                line.sendall(said * (200_000 // len(said)))
                sizes.append(resident(os.getpid()))
            line.shutdown(socket.SHUT_RDWR)
        reader.join()
    assert max(sizes) - sizes[0] < 60 << 20


def test_a_head_without_an_end_is_cut_off(here: Server) -> None:
    with connected(here) as line:
        with suppress(ConnectionError):
            line.sendall(b"GET / HTTP/1.1\r\nx: " + b"y" * 2_000_000)
        all_of(line)
    assert here.ask("/livez").status_code == 200


def test_who_is_slow_to_ask_is_cut_off(here: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SECONDS_MOST", 0.2)
    for said in (b"", b"GET /livez HTTP/1.1\r\n"):
        with connected(here) as line:
            line.sendall(said)
            assert is_cut_off(line)
    with connected(here) as line:
        for _ in range(2):
            line.sendall(ASK)
            assert line.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_heads_have_a_limit_together(here: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are being answered count as well as those that are still coming."""
    heads = Shares(200_000, 200_000)
    monkeypatch.setattr(connections.Connection, "heads", heads)
    long = b"x: " + b"y" * 60_000 + b"\r\n"
    with ExitStack() as held:
        for end in (b"", b"", b"Content-Length: 5\r\n\r\n"):
            line = held.enter_context(connected(here))
            line.sendall(b"POST /v1/t HTTP/1.1\r\n" + long + end)
        eventually(lambda: heads.left < 20_000)
        with connected(here) as line:
            line.sendall(b"GET /livez HTTP/1.1\r\n" + long + b"\r\n")
            answer = all_of(line)
            assert_problem(answer, 503)
            assert b"retry-after: 5" in answer
        assert here.ask("/livez").status_code == 200
    eventually(lambda: heads.left == 200_000)
    with connected(here) as line:
        line.sendall(b"GET /livez HTTP/1.1\r\n" + long + b"Connection: close\r\n\r\n")
        assert all_of(line).startswith(b"HTTP/1.1 200 ")
    eventually(lambda: heads.left == 200_000)


def test_nobody_holds_the_heads_of_all_others(
    here: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of one address have a share of what is there for all."""
    heads = Shares(1_000_000)
    monkeypatch.setattr(connections.Connection, "heads", heads)
    long = b"GET /livez HTTP/1.1\r\nx: " + b"y" * 50_000
    with ExitStack() as held:
        for before in (b"", ASK):  # what comes behind a request that is answered counts as well
            line = held.enter_context(connected(here))
            line.sendall(before + long)
            assert not before or line.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert here.ask("/livez").ok
        eventually(lambda: heads.left < 900_000)
        with connected(here) as line:
            line.sendall(long)
            assert_problem(all_of(line), 503)
        with connected(here, address="127.0.0.2") as line:
            line.sendall(long + b"\r\nConnection: close\r\n\r\n")
            assert all_of(line).startswith(b"HTTP/1.1 200 ")
    eventually(lambda: heads.left == 1_000_000)


def test_requests_in_a_row_are_answered_in_their_order(here: Server) -> None:
    with connected(here) as line:
        line.sendall(
            ASK * 20
            + b"GET /nothing HTTP/1.1\r\n\r\n"
            + b"POST /v1/t HTTP/1.1\r\nContent-Length: 3\r\n\r\n{} "
            + ASK
            + b"nonsense\r\n\r\n"
        )
        answers = all_of(line).split(b"HTTP/1.1 ")[1:]
    assert [int(one[:3]) for one in answers] == [200] * 20 + [404, 400, 200]


def test_a_long_body_before_another_request_is_no_long_head(here: Server) -> None:
    body = b" " * 200_000
    asked = b"POST /v1/t HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with connected(here) as line:
        line.sendall(asked + ASK[:-2])
        line.sendall(ASK[-2:] + b"x")
        answers = all_of(line).split(b"HTTP/1.1 ")[1:]
    assert [int(one[:3]) for one in answers[:2]] == [400, 200]


def test_who_sends_no_more_but_listens_harms_nobody(here: Server) -> None:
    for said in (b"", ASK[:20], ASK):
        with connected(here) as line:
            line.sendall(said)
            line.shutdown(socket.SHUT_WR)
            all_of(line)
    assert here.ask("/livez").status_code == 200


def test_who_does_not_read_answers_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connections, "_READ_SECONDS_MOST", 1.0)
    loaded = project(tmp_path / "project")
    record(loaded, *(Turn("x" * 1_000, "keen", number) for number in range(1, 1_001)))
    key = new_key(loaded, "audiences:read")
    path = f"/v1/transitions?limit=1000 HTTP/1.1\r\nAuthorization: Bearer {key}\r\n"
    with server(loaded) as here:
        with connected(here, buffer=4_096) as line:
            line.sendall(f"GET {path}\r\n".encode() * 30)
            assert line.recv(12) == b"HTTP/1.1 200"
            eventually(lambda: not others(here))
            assert len(all_of(line)) < 20_000_000  # half of it; what was on its way still comes
        assert capsys.readouterr().err == ""
        assert here.ask("/livez").status_code == 200


def test_who_reads_a_long_answer_slowly_gets_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_READ_SECONDS_MOST", 1.0)
    folder = tmp_path / "project"
    write_certificate(tmp_path)
    for tls in ({}, {"certificate": "../certificate.pem", "private_key": "../key.pem"}):
        write_project(folder, changed(serving={**ANYWHERE, **tls}))
        loaded = loaded_from(folder)
        if not tls:
            record(loaded, *(Turn("x" * 5_000, "keen", number) for number in range(1, 1_001)))
        key = new_key(loaded, "audiences:read")
        path = f"/v1/transitions?limit=1000 HTTP/1.1\r\nAuthorization: Bearer {key}\r\n"
        with server(loaded) as here, connected(here, buffer=4_096) as plain:
            context = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
            line = context.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain
            line.sendall(f"GET {path}Connection: close\r\n\r\n".encode())
            found, began = 0, time.monotonic()
            with line:
                while part := line.recv(1 << 16):
                    found += len(part)
                    time.sleep(len(part) / 2_000_000)
        assert found > 5_000_000
        assert time.monotonic() - began > 2


def others(here: Server) -> list[str]:
    """Lines of the system's table of connections: those that this server has open to others."""
    port = int(here.url.rpartition(":")[2])
    rows = [one.split() for one in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return [one[9] for one in rows if one[1].endswith(f":{port:04X}") and one[3] == established]


def test_who_sends_empty_lines_is_silent(here: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SECONDS_MOST", 0.5)
    with connected(here) as line:
        line.settimeout(20)
        line.sendall(ASK)
        assert line.recv(1000).startswith(b"HTTP/1.1 200 ")
        line.sendall(b"\r\n")
        assert is_cut_off(line)
    with connected(here) as line:
        line.sendall(ASK + b"\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 200 ")
        line.sendall(b"\r\n" + ASK)
        assert line.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_those_beyond_are_told_and_the_others_go_on(
    here: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 20)
    monkeypatch.setattr(connections, "_REFUSED_SECONDS", 0.2)
    monkeypatch.setattr(connections, "_REFUSED_MOST", 10)
    eventually(lambda: not others(here))
    with ExitStack() as held:
        lines = [held.enter_context(connected(here)) for _ in range(35)]
        for line in lines[:20]:
            line.sendall(ASK)
            assert line.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert all(is_cut_off(line) for line in lines[30:])
        assert all(is_cut_off(line) for line in lines[20:30])  # they have asked nothing in time
        with connected(here) as line:
            line.sendall(ASK)
            answer = all_of(line)
            assert_problem(answer, 503)
            assert b"retry-after: 5" in answer
        lines[0].sendall(ASK)
        assert lines[0].recv(1000).startswith(b"HTTP/1.1 200 ")
    eventually(lambda: not others(here))
    assert here.ask("/livez").status_code == 200


def test_a_body_that_is_not_awaited_is_not_kept(here: Server) -> None:
    """Whoever is refused before may still send, and is told."""
    body = gzip.compress(b" " * 30_000_000, mtime=0) * 20
    answer = here.ask("/v1/tokens", method="POST", data=body)
    assert answer.status_code == 401
