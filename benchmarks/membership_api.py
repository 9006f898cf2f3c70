"""The membership API beside a job that is busy, and what an answer costs.

Requests are sent at a steady rate by a process of its own, over connections that stay open; each
counts from the instant at which it was due, so a server that falls behind is not spared.  Beside
it, events come at `benchmarks.live.RATE`, and users who have just fulfilled an audience's condition
are asked about until they are members.  What an answer costs is CPU time of a server alone, to
that of a bare route of Starlette that answers with a constant.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import requests
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.live import USERS, Watch, _line, append, await_start, job
from benchmarks.process import USHER, Failed
from benchmarks.suites import write_project
from benchmarks.workload import Workload

RATE = 1_000
_CONNECTIONS = 32
_PATIENCE = 60.0

# Seconds: the job stores its first epochs of state.
_WARM_UP = 5.0

_SERVING = {
    "listen": "127.0.0.1:0",
    "admin": "127.0.0.1:0",
    "limits": {"per_key": 1_000_000, "per_address": 1_000_000},
}
_BARE = b'{"parent_model_id":"users","user_id":"u000001","audience_ids":["active"]}'


@dataclass(frozen=True)
class ApiCosts:
    """Percentiles in milliseconds; CPU microseconds an answer."""

    p50: float
    p99: float
    bare_p99: float  # of the bare route, in a process of its own beside the same job
    late: float  # from an event in the followed file to its answer, p99
    cpu: float
    bare_cpu: float
    details_p99: float


class _Load(msgspec.Struct):
    """What the process that sends has found: milliseconds, one a request."""

    latencies: list[float]


def api_costs(recording: Workload, folder: Path, *, seconds: float) -> ApiCosts:
    """Measure for so many seconds each.

    Raises:
        Failed: a process does not start, or answers with errors.
    """
    shutil.rmtree(folder, ignore_errors=True)
    stream = folder / "live" / "events.jsonl"
    stream.parent.mkdir(parents=True)
    stream.touch()
    syncs = {"archived": {"audience": "active", "destination": "archive"}}
    destinations = {"archive": {"type": "file", "path": "transitions.jsonl"}}
    write_project(
        "live",
        folder,
        recording.users,
        "live/*.jsonl",
        destinations=destinations,
        syncs=syncs,
        serving=_SERVING,
    )
    command = [str(USHER), "-C", str(folder), "keys", "create", "--scope", "audiences:read"]
    key = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
    with job(folder) as one, stream.open("ab") as file:
        with Watch(folder / "transitions.jsonl") as watch:
            await_start(one, watch, file)
        url = _address((folder / "job.log").read_text)
        appending = threading.Thread(target=append, args=(file, 4 * seconds + _WARM_UP + 3))
        appending.start()
        _load(url, key, "", RATE, _WARM_UP)
        plain = _load(url, key, "", RATE, seconds)
        with _bare() as (bare_url, _):
            bare_beside = _load(bare_url, key, "", RATE, seconds)
        details = _load(url, key, "?include=details", RATE / 10, seconds)
        late = _latenesses(url, key, folder / "live" / "probes.jsonl", seconds)
        appending.join()
    with _serving(folder) as (alone, server):
        cpu = _cpu_of(server.pid, alone, key)
    with _bare() as (url, server):
        bare = _cpu_of(server.pid, url, key)
    return ApiCosts(
        float(np.percentile(plain, 50)),
        float(np.percentile(plain, 99)),
        float(np.percentile(bare_beside, 99)),
        float(np.percentile(late, 99)),
        cpu,
        bare,
        float(np.percentile(details, 99)),
    )


def _latenesses(url: str, key: str, path: Path, seconds: float) -> list[float]:
    """Of users one after the other, from their third view to the answer that has it."""
    found = []
    until = time.monotonic() + seconds
    headers = {"Authorization": f"Bearer {key}"}
    with path.open("ab") as file, requests.Session() as session:
        user = USERS + 1
        while time.monotonic() < until:
            at = time.time()
            file.write(b"".join(_line(user, f"probe-{user}-{n}", at) for n in range(3)))
            file.flush()
            began = time.monotonic()
            name = f"{url}/v1/audiences/users/u{user:06d}"
            while not session.get(name, headers=headers, timeout=10).json()["audience_ids"]:
                if time.monotonic() - began > _PATIENCE:
                    raise Failed("an event is not in the answers")
                time.sleep(0.002)
            found.append((time.monotonic() - began) * 1e3)
            user += 1
    return found


def _load(url: str, key: str, query: str, rate: float, seconds: float) -> list[float]:
    arguments = [url, key, query, str(rate), str(seconds)]
    command = [sys.executable, "-m", "benchmarks.membership_api", *arguments]
    return msgspec.json.decode(subprocess.check_output(command), type=_Load).latencies


def _cpu_of(pid: int, url: str, key: str) -> float:
    """CPU microseconds of a process for one answer; the first ones are not counted."""
    _load(url, key, "", 500.0, 1.0)
    before = _cpu(pid)
    answers = len(_load(url, key, "", 500.0, 4.0))
    return (_cpu(pid) - before) / answers * 1e6


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    log = folder / "serve.log"
    with log.open("wb") as out:
        command = [str(USHER), "-C", str(folder), "run", "--only", "serve"]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield _address(log.read_text), process
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def _bare() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "benchmarks.membership_api", "bare"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().strip(), process
    finally:
        process.terminate()
        process.wait(20)


def _address(said: object) -> str:
    assert callable(said)
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if found := re.search(r"HTTP server at (\S+)\n", said()):
            return found[1]
        time.sleep(0.05)
    raise Failed("the server does not start")


async def _answer_bare(_request: object) -> Response:
    return Response(_BARE, media_type="application/json")


def _serve_bare() -> None:
    app = Starlette(routes=[Route("/v1/audiences/users/{user_id}", _answer_bare)])
    config = uvicorn.Config(app, port=0, http="httptools", log_level="critical", lifespan="off")
    socket = config.bind_socket()
    print(f"http://127.0.0.1:{socket.getsockname()[1]}", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve([socket]))


async def _send_all(url: str, key: str, query: str, rate: float, seconds: float) -> list[float]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    lines = await asyncio.gather(
        *(asyncio.open_connection(host, int(port)) for _ in range(_CONNECTIONS))
    )
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for line in lines:
        idle.put_nowait(line)
    latencies: list[float] = []

    async def ask(number: int, due: float) -> None:
        reader, writer = await idle.get()
        user = f"u{number * 7919 % USERS:06d}"
        head = f"GET /v1/audiences/users/{user}{query} HTTP/1.1\r\nHost: {host}\r\n"
        writer.write(f"{head}Authorization: Bearer {key}\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise Failed(answer.decode())
        length = re.search(rb"content-length: (\d+)", answer)
        assert length is not None
        await reader.readexactly(int(length[1]))
        latencies.append((time.monotonic() - due) * 1e3)
        idle.put_nowait((reader, writer))

    async with asyncio.TaskGroup() as tasks:
        began = time.monotonic()
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            tasks.create_task(ask(number, due))
    return latencies


def main(arguments: Sequence[str]) -> None:
    """`bare`, or `URL KEY QUERY RATE SECONDS` to send requests: this module's own processes."""
    if arguments == ["bare"]:
        _serve_bare()
        return
    url, key, query, rate, seconds = arguments
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        latencies = runner.run(_send_all(url, key, query, float(rate), float(seconds)))
    print(msgspec.json.encode(_Load(latencies)).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
