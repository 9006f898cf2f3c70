"""A relay to a server that may not be there, through which some answers are lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class Relay:
    url: str
    losing: int
    """Answers that are not to come through, from the first on."""
    lost: int = 0
    """Answers that have not come through."""
    in_vain: int = 0
    """Connections for which there was no server."""


@contextmanager
def relay_to(url: str, losing: int) -> Iterator[Relay]:
    """Of the connections that bring an answer, the first `losing` break off then.

    Whoever raises `losing` later lets the next ones break off.
    """
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_server(("127.0.0.1", 0), backlog=100) as door:
        relay = Relay(f"http://127.0.0.1:{door.getsockname()[1]}", losing)
        lock = threading.Lock()

        def is_lost() -> bool:
            with lock:
                relay.lost += (lose := relay.lost < relay.losing)
                return lose

        def connect(client: socket.socket) -> None:
            with client:
                try:
                    server = socket.create_connection((host, int(port)))
                except ConnectionError:
                    relay.in_vain += 1
                    return
                with server:
                    exchange(client, server)

        def exchange(client: socket.socket, server: socket.socket) -> None:
            there = threading.Thread(target=carry, args=(client, server), daemon=True)
            there.start()
            with suppress(OSError):
                while (data := server.recv(1 << 16)) and not is_lost():
                    client.sendall(data)
            for one in (client, server):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            there.join()

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = door.accept()
                    threading.Thread(target=connect, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield relay
        finally:
            door.shutdown(socket.SHUT_RDWR)


def carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
