"""`usher run --only deliver`: the deliveries of a project, apart from the job that evaluates it.

It follows the definitions as that job does: with changed ones deliveries end and begin anew, from
what is remembered of them.
"""

from __future__ import annotations

import threading
from contextlib import closing

from cli.control import Control, controlled
from cli.failures import FAILURES, sentence_of
from connectors.sentences import Alarm
from dataflows.outbox import Outbox
from dataflows.preparation import tell
from dataflows.single import INTERRUPTION, PATIENCE
from membership.store import MembershipStore
from project.folder import LoadedProject
from project.stores import open_store


def deliver(loaded: LoadedProject) -> None:
    """Deliver what the journal has and will have, until SIGTERM.

    Raises:
        DestinationError: a destination cannot be opened with its settings.
        StoreError: the store cannot be used, or another process delivers now.
    """
    with (
        closing(open_store(loaded)) as store,
        controlled(loaded, lambda _awaiting: None) as control,
    ):
        outbox = Outbox(loaded, None)
        while True:
            changed = _delivered(outbox, store, control)
            if changed is None:
                break
            try:
                outbox = Outbox(changed, None)
            except FAILURES as error:
                tell(Alarm(f"{sentence_of(error)}; deliveries go on with the definitions before"))
                outbox = Outbox(loaded, None)
            else:
                loaded = changed
    tell("stopped")


def _delivered(outbox: Outbox, store: MembershipStore, control: Control) -> LoadedProject | None:
    """Deliver until there are other definitions, which are returned, or SIGTERM."""
    stop = threading.Event()
    with closing(outbox):
        outbox.begin(store, stop.set)
        control.attach(stop)
        tell("delivering; stop with SIGTERM or Ctrl-C")
        stop.wait()
        outbox.drain(INTERRUPTION if control.interrupts else PATIENCE)
    return control.take_next()
