"""One pull in a process of its own: a child (`cli.child`) of a running job.

So a pull takes neither the job's memory nor its turns, and goes behind it where processors are
scarce.
"""

from __future__ import annotations

import os

from cli.child_life import begin, end_after
from cli.orders import Failed, Order
from connectors.wall_clock import wall_clock
from warehouse.history import Pull
from warehouse.refresh import refresh

_NICENESS = 10


def main() -> None:
    """Usage: python -m cli.child puller SOCKET STDERR, both descriptors that are inherited."""
    connection = begin()
    os.nice(_NICENESS)
    end_after(
        lambda: connection.send(pulled(connection.recv())),
        lambda sentence: connection.send(Failed(sentence)),
    )


def pulled(order: Order) -> Pull:
    loaded = order.loaded
    plan = loaded.project.plans[order.parent_model]
    return refresh(loaded.root, loaded.project.warehouse, plan, wall_clock(), order.request)


if __name__ == "__main__":
    main()
