"""One pull in a process of its own: a child (`cli.child`) of a running job.

So a pull takes neither the job's memory nor its turns, and goes behind it where processors are
scarce.
"""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection
from typing import Any

from cli.child_life import leave_signals_to_job
from cli.failures import FAILURES, sentence_of
from cli.orders import Failed, Order
from dataflows.following import wall_clock
from warehouse.refresh import refresh

_NICENESS = 10


def main() -> None:
    """Usage: python -m cli.child puller SOCKET …, descriptors that are inherited."""
    leave_signals_to_job()
    os.nice(_NICENESS)
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    order: Order = connection.recv()
    project = order.loaded.project
    try:
        connection.send(
            refresh(
                order.loaded.root,
                project.warehouse,
                project.plans[order.parent_model],
                wall_clock(),
                order.request,
            )
        )
    except FAILURES as error:
        connection.send(Failed(sentence_of(error)))


if __name__ == "__main__":
    main()
