"""A server in between that breaks a connection half-way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cutting_proxy(target: tuple[str, int] | str, after: int) -> Iterator[int]:
    """The port of a proxy to an address or socket; a connection ends after so many bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, target, after), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def _accept(listener: socket.socket, target: tuple[str, int] | str, after: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            if isinstance(target, str):
                server = socket.socket(socket.AF_UNIX)
                server.connect(target)
            else:
                server = socket.create_connection(target)
            threading.Thread(target=_pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=_pump, args=(server, client, after), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, left: int | None) -> None:
    with suppress(OSError):
        while (data := source.recv(65536)) and (left is None or left > 0):
            target.sendall(data)
            left = None if left is None else left - len(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
