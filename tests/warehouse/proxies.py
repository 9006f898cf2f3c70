"""A server in between that breaks a connection half-way, or keeps it and says nothing more."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

Address = tuple[str, int] | str


@contextmanager
def cutting_proxy(target: Address, after: int, *, hangs: bool = False) -> Iterator[int]:
    """The port of a proxy to an address or socket; a connection ends after so many bytes.

    If it `hangs`, no connection gets another byte from then on, and none is told so.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()
    hung = over if hangs else None
    threading.Thread(target=_accept, args=(listener, target, after, hung), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.close()


def _accept(
    listener: socket.socket, target: Address, after: int, hung: threading.Event | None
) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            if isinstance(target, str):
                server = socket.socket(socket.AF_UNIX)
                server.connect(target)
            else:
                server = socket.create_connection(target)
            threading.Thread(target=_pump, args=(client, server, None, None), daemon=True).start()
            pump = threading.Thread(target=_pump, args=(server, client, after, hung), daemon=True)
            pump.start()


def _pump(
    source: socket.socket, target: socket.socket, left: int | None, hung: threading.Event | None
) -> None:
    with suppress(OSError):
        while (data := source.recv(65536)) and (left is None or left > 0):
            target.sendall(data)
            left = None if left is None else left - len(data)
        if hung is not None and data:
            hung.wait()
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
