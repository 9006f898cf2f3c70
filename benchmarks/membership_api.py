"""The membership API beside a busy job, and what an answer costs.

Batches of events come to the collector at `EVENTS` a second from a process of its own, and `hey`, a
load generator of Debian's, asks who is in what at `RATE` requests a second.  Beside them, users are
asked about whose batch has just been acknowledged, until they are members.  A bare route of
Starlette that answers with a constant is asked beside the same.  What an answer costs is CPU time
of a server alone, to that of the bare route.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import csv
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.live import USERS
from benchmarks.process import USHER, Failed, cpu_seconds
from benchmarks.suites import write_project
from benchmarks.workload import Workload

EVENTS = 2_000
RATE = 1_000

_BATCH = 20
_SENDERS = 8
_ASKERS = 10
_PATIENCE = 60.0

# Seconds: the job stores its first epochs of state, and kernels are loaded.
_WARM_UP = 5.0

_KEY = "a-write-key"
_WRITER = "Basic " + base64.b64encode(f"{_KEY}:".encode()).decode()
_BARE = b'{"parent_model_id":"users","user_id":"u000001","audience_ids":["active"]}'
_PATH = "/v1/audiences/users/u{:06d}"
_MEMBER = _PATH.format(7)
_RECORD = "/v1/collections/profiles/records/user_id/u000007?include=audiences"


@dataclass(frozen=True)
class ApiCosts:
    """Milliseconds, one a request; and CPU microseconds an answer.

    `writes` are from an acknowledged event to the answer that has it.
    """

    answers: list[float]
    writes: list[float]
    details: list[float]
    records: list[float]
    bare: list[float]
    cpu: float
    bare_cpu: float


def api_costs(recording: Workload, folder: Path, *, seconds: float) -> ApiCosts:
    """Measure for so many seconds each.

    Raises:
        Failed: a process does not start or answers with errors, or there is no `hey`.
    """
    if shutil.which("hey") is None:
        raise Failed("the API is measured with hey; run: apt-get install hey")
    shutil.rmtree(folder, ignore_errors=True)
    write_project(
        "live",
        folder,
        recording.users,
        "",
        sources={"web": {"type": "http", "format": "segment", "write_keys": [_KEY]}},
        destinations={"archive": {"type": "file", "path": "transitions.jsonl"}},
        syncs={"archived": {"audience": "active", "destination": "archive"}},
        collections={"profiles": {"parent_model": "users"}},
        serving={
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "limits": {"per_key": 1_000_000, "per_address": 1_000_000},
        },
    )
    command = [str(USHER), "-C", str(folder), "keys", "create"]
    command += ["--scope", "audiences:read", "--scope", "collections:read"]
    key = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
    with _job(folder, "job"):
        url = _address(folder / "job.log")
        with _events(url, 4 * seconds):
            answers, writes = _beside(url, key, seconds)
            details = _asked(url, key, RATE / 10, seconds, _MEMBER + "?include=details")
            records = _asked(url, key, RATE, seconds, _RECORD)
            with _bare() as (bare_url, _):
                bare = _asked(bare_url, key, RATE, seconds)
    with _job(folder, "alone", "--only", "serve") as server:
        cpu = _cpu_of(server, _address(folder / "alone.log"), key)
    with _bare() as (url, server):
        bare_cpu = _cpu_of(server, url, key)
    return ApiCosts(answers, writes, details, records, bare, cpu, bare_cpu)


def _beside(url: str, key: str, seconds: float) -> tuple[list[float], list[float]]:
    """Ask at the rate; meanwhile users write and ask, who come behind all others."""
    writes: list[float] = []
    ends = time.monotonic() + seconds
    writing = threading.Thread(target=lambda: writes.extend(_writes(url, key, USERS + 1, ends)))
    writing.start()
    answers = _asked(url, key, RATE, seconds)
    writing.join()
    if not writes:
        raise Failed("an event is not in the answers")
    return answers, writes


def _writes(url: str, key: str, user: int, ends: float) -> Iterator[float]:
    """Of users one after the other, from the acknowledgement to the answer that has it."""
    write = {"Authorization": _WRITER, "Content-Type": "application/json"}
    read = {"Authorization": f"Bearer {key}"}
    with contextlib.closing(HTTPConnection(url.removeprefix("http://"), timeout=10)) as line:

        def asked(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Any:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            said = answer.read()
            if answer.status != HTTPStatus.OK:
                raise Failed(said.decode())
            return json.loads(said)

        while time.monotonic() < ends:
            asked("POST", "/v1/batch", _batch([user] * 3, f"probe-{user}"), write)
            began = time.monotonic()
            while not asked("GET", _PATH.format(user), None, read)["audience_ids"]:
                if time.monotonic() - began > _PATIENCE:
                    return
                time.sleep(0.01)
            yield (time.monotonic() - began) * 1e3
            user += 1


def _asked(url: str, key: str, rate: float, seconds: float, path: str = _MEMBER) -> list[float]:
    command = ["hey", "-z", f"{seconds:.0f}s", "-c", str(_ASKERS), "-q", str(int(rate / _ASKERS))]
    command += ["-o", "csv", "-H", f"Authorization: Bearer {key}", url + path]
    answers = list(csv.DictReader(subprocess.check_output(command, text=True).splitlines()))
    statuses = Counter(one["status-code"] for one in answers)
    if set(statuses) != {"200"}:
        raise Failed(f"{url + path} answers with errors, or not at all: {dict(statuses)}")
    return [float(one["response-time"]) * 1e3 for one in answers]


def _cpu_of(server: subprocess.Popen[bytes], url: str, key: str) -> float:
    """CPU microseconds of a process for one answer; the first ones are not counted."""
    _asked(url, key, RATE, 1.0)
    before = cpu_seconds(server.pid)
    answers = len(_asked(url, key, RATE, 4.0))
    return (cpu_seconds(server.pid) - before) / answers * 1e6


@contextlib.contextmanager
def _job(folder: Path, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        command = [str(USHER), "-C", str(folder), "run", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_PATIENCE)


@contextlib.contextmanager
def _bare() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "benchmarks.membership_api", "bare"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().strip(), process
    finally:
        process.terminate()
        process.wait(_PATIENCE)


@contextlib.contextmanager
def _events(url: str, seconds: float) -> Iterator[None]:
    """Events are sent within, for that long and for the time of warming up, which is over then."""
    command = [sys.executable, "-m", "benchmarks.membership_api", url, str(seconds + 2 * _WARM_UP)]
    process = subprocess.Popen(command)
    time.sleep(_WARM_UP)
    try:
        yield
        if process.poll() is not None and process.returncode:
            raise Failed("the collector does not take what is sent")
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _address(log: Path) -> str:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if found := re.search(r"HTTP server at (\S+)\n", log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise Failed(f"the server does not start; see {log}")


def _batch(users: Sequence[int], id_: str) -> bytes:
    """A page view of each."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    views = [
        {
            "type": "page",
            "messageId": f"{id_}-{number}",
            "userId": f"u{user:06d}",
            "timestamp": now,
            "sentAt": now,
            "properties": {"path": "/pricing"},
        }
        for number, user in enumerate(users)
    ]
    return json.dumps({"batch": views}).encode()


async def _send(url: str, seconds: float) -> None:
    """Send batches at the rate, over connections that stay open."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    random = np.random.default_rng(5)
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(_SENDERS):
        idle.put_nowait(await asyncio.open_connection(host, int(port)))

    async def post(number: int) -> None:
        reader, writer = await idle.get()
        body = _batch(random.integers(1, USERS, _BATCH).tolist(), f"{time.time()}-{number}")
        head = f"POST /v1/batch HTTP/1.1\r\nHost: {host}\r\nAuthorization: {_WRITER}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", answer)
        if not answer.startswith(b"HTTP/1.1 200 ") or length is None:
            raise Failed(answer.decode())
        await reader.readexactly(int(length[1]))
        idle.put_nowait((reader, writer))

    async with asyncio.TaskGroup() as tasks:
        began = time.monotonic()
        for number in range(int(EVENTS / _BATCH * seconds)):
            early = began + number * _BATCH / EVENTS - time.monotonic()
            await asyncio.sleep(max(early, 0))
            tasks.create_task(post(number))


async def _answer_bare(_request: object) -> Response:
    return Response(_BARE, media_type="application/json")


def _serve_bare() -> None:
    app = Starlette(routes=[Route("/v1/audiences/users/{user_id}", _answer_bare)])
    config = uvicorn.Config(app, port=0, http="httptools", log_level="critical", lifespan="off")
    socket = config.bind_socket()
    print(f"http://127.0.0.1:{socket.getsockname()[1]}", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve([socket]))


def main(arguments: Sequence[str]) -> None:
    """`bare`, or `URL SECONDS` to send events: this module's own processes."""
    if arguments == ["bare"]:
        _serve_bare()
        return
    url, seconds = arguments
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_send(url, float(seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
