"""`usher run --only deliver`: the deliveries of a project, apart from the job that evaluates it."""

from __future__ import annotations

import signal
import threading
from contextlib import closing

from dataflows.outbox import Outbox
from dataflows.preparation import tell
from dataflows.single import PATIENCE
from project.folder import LoadedProject
from project.stores import open_store


def deliver(loaded: LoadedProject) -> None:
    """Deliver what the journal has and will have, until SIGTERM.

    Raises:
        DestinationError: a destination cannot be opened with its settings.
        StoreError: the store cannot be used, or another process delivers now.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with closing(open_store(loaded)) as store, closing(Outbox(loaded, None)) as outbox:
        outbox.begin(store, stop.set)
        tell("delivering; stop with SIGTERM or Ctrl-C")
        stop.wait()
        outbox.drain(PATIENCE)
    tell("stopped")
