"""One pull in a process of its own: started by a running job, and by nobody else.

So a pull takes neither the job's memory nor its turns, and goes behind it where processors are
scarce.  What to pull comes over a socket that the process inherits, and what came of it goes back.
The socket is its life line: when the job is gone, so is the pull.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from cli.failures import FAILURES, sentence_of
from cli.orders import Failed, Order
from dataflows.following import wall_clock
from warehouse.refresh import Request, refresh

_NICENESS = 10
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)


def main() -> None:
    """Usage: python -m cli.puller SOCKET, a descriptor that is inherited."""
    for number in _IGNORED:  # they are the job's business
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    order: Order = connection.recv()
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    project = order.loaded.project
    try:
        connection.send(
            refresh(
                order.loaded.root,
                project.warehouse,
                project.plans[order.parent_model],
                wall_clock(),
                Request(order.trigger),
            )
        )
    except FAILURES as error:
        connection.send(Failed(sentence_of(error)))


def _end_with(connection: Connection[Any, Any]) -> None:
    try:
        connection.recv()
    except (EOFError, OSError):
        os._exit(1)


if __name__ == "__main__":
    main()
