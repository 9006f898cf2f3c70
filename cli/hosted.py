"""The HTTP server beside a job: the child (`cli.child`) that `cli.hosting` keeps running."""

from __future__ import annotations

import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from socket import socket
from typing import Any

from cli.child_life import begin, end_after
from cli.hosting import Began, Drain, Follow, News, Stop, Task, Told
from cli.refreshing import Refreshing
from cli.server import served
from dataflows.cluster import Refused
from dataflows.progress import Progress
from serving.addresses import Doors, is_behind_proxy


class Line:
    """The socket to the job."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def receive(self) -> Any:
        return self._connection.recv()

    def tell(self, news: News) -> None:
        with self._lock, suppress(OSError):  # without the job, this process ends at once
            self._connection.send(news)


def answer(line: Line, task: Task) -> None:
    """Until the job says that it is enough.

    Raises:
        OSError, SourceError: as `served`.
    """
    pulls = Refreshing(task.loaded, on_schedule=False)
    doors = Doors(
        _inherited(task.public),
        _inherited(task.admin),
        task.certificate,
        is_behind_proxy(task.loaded),
    )
    with pulls.working(), served(task.loaded, doors, pulls, Progress()) as server:
        line.tell(Began())
        while True:
            told: Told = line.receive()
            match told:
                case Progress():
                    server.service.progress = told
                case Follow(loaded):
                    server.follow(loaded)
                    pulls.follow(loaded)
                case Drain():
                    server.drain()
                case Stop():
                    return


def _inherited(descriptor: int | None) -> socket | None:
    return None if descriptor is None else socket(fileno=descriptor)


def main() -> None:
    """Usage: python -m cli.child hosted SOCKET STDERR …, descriptors that are inherited."""
    line = Line(begin())
    end_after(lambda: answer(line, line.receive()), lambda sentence: line.tell(Refused(sentence)))


if __name__ == "__main__":
    main()
