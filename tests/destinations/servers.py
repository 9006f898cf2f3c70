"""Servers on 127.0.0.1 that answer well, badly or not at all, and remember what they were asked."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    headers: Mapping[str, str]  # names in small letters
    body: bytes


@dataclass
class Server:
    url: str
    port: int
    asked: list[Asked] = field(default_factory=list)


Behaviour = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    behave: Behaviour, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with suppress(asyncio.CancelledError):  # the story is over
            await converse(reader, writer)
        writer.transport.abort()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (asked := await _read(reader)) is not None:
                server.asked.append(asked)
                await behave(asked, writer)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    connections: set[asyncio.Task[None]] = set()
    listening = await asyncio.start_server(handle, host, 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server = Server(f"http{'s' if tls else ''}://127.0.0.1:{port}", port)
    try:
        yield server
    finally:
        listening.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body)


def answer(status: int, body: object = b"", **headers: str) -> Behaviour:
    """`Retry_After="3"` is the header Retry-After."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} So", f"Content-Length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)

    return behave


def raw(content: bytes, *, then_close: bool = True) -> Behaviour:
    async def behave(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        if then_close:
            await writer.drain()
            writer.close()

    return behave


async def reset(_: Asked, writer: asyncio.StreamWriter) -> None:
    """The request has been read, perhaps acted on; no answer comes."""
    plug: socket.socket = writer.get_extra_info("socket")
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def close(_: Asked, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def hang(_: Asked, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def drip(_: Asked, writer: asyncio.StreamWriter) -> None:
    """An answer that never ends, one byte after another."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(_: Asked, writer: asyncio.StreamWriter) -> None:
    """An answer of more than anybody can hold."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _number in range(100_000):
        writer.write(b"x" * 65_536)
        await writer.drain()
