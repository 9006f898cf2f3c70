"""A gate in front of a server, which can be shut, or swallow what is said."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Literal


class Gate:
    """Forwards from a port of this machine to an address or socket.

    `state` is "open"; "shut": connections are refused, and those that there were are cut; or
    "silent": they are taken, and nothing is answered.
    """

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._connections: list[socket.socket] = []
        self._state = "open"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._listen()

    def turn(self, state: Literal["open", "shut", "silent"]) -> None:
        if "shut" in {state, self._state} and state != self._state:
            if state == "shut":
                self._close()
            else:
                self._listener = socket.create_server(("127.0.0.1", self.port))
                self._listen()
        self._state = state

    def lead(self, target: tuple[str, int] | str) -> None:
        """From now on connections lead elsewhere, those that there are excepted."""
        self._target = target

    def close(self) -> None:
        if self._state != "shut":
            self._close()

    def _close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._connections:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if isinstance(self._target, str):
                    server = socket.socket(socket.AF_UNIX)
                    server.connect(self._target)
                else:
                    server = socket.create_connection(self._target)
                self._connections += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._state == "open":
                    target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
