"""Parts of `usher run` in a process without the job that evaluates: deliver, serve and pull.

They follow the definitions as that job does: with changed ones deliveries end and begin anew, from
what is remembered of them, and the others go on with those.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING

from cli.control import Control, controlled
from cli.failures import FAILURES, sentence_of
from cli.refreshing import Refreshing
from connectors.sentences import Alarm
from dataflows.log_lines import tell
from dataflows.outbox import Outbox
from dataflows.single import INTERRUPTION, PATIENCE
from membership.store import MembershipStore
from project.folder import LoadedProject
from project.stores import open_store
from serving.addresses import open_doors

if TYPE_CHECKING:
    from cli.server import Served


def work_apart(loaded: LoadedProject, parts: frozenset[str]) -> None:
    """Do these parts until SIGTERM.

    Raises:
        DestinationError: a destination cannot be opened with its settings.
        JobRefused: it cannot listen where it should.
        SourceError: what is collected is damaged, or another process collects it.
        StoreError: the store cannot be used, or another process delivers now.
    """
    pulls = Refreshing(loaded, on_schedule="pull" in parts)
    with ExitStack() as held:
        held.enter_context(pulls.working())
        server = held.enter_context(_server(loaded, pulls, serves="serve" in parts))
        ending = _nothing if server is None else server.drain
        control = held.enter_context(controlled(loaded, pulls.wait_for, ending, evaluates=False))
        deliveries = None
        if "deliver" in parts:
            deliveries = Deliveries(loaded, held.enter_context(closing(open_store(loaded))))
        while True:
            changed = threading.Event()
            control.attach(changed)
            with nullcontext() if deliveries is None else deliveries.going(changed.set, control):
                tell("running; stop with SIGTERM or Ctrl-C")
                changed.wait()
            found = control.take_next()
            if found is None:
                break
            if deliveries is None or deliveries.follow(found):
                pulls.follow(found)
                if server is not None:
                    server.follow(found)
    tell("stopped")


class Deliveries:
    """What the journal has and will have is delivered while they are `going`."""

    def __init__(self, loaded: LoadedProject, store: MembershipStore) -> None:
        self._loaded = loaded
        self._store = store
        self._outbox = Outbox(loaded, None)

    @contextmanager
    def going(self, failed: Callable[[], None], control: Control) -> Iterator[None]:
        """Deliver within; `failed` is called if that is not possible any more.

        Raises:
            StoreError: at the end; why it was not.
        """
        with closing(self._outbox) as outbox:
            outbox.begin(self._store, failed)
            yield
            outbox.drain(INTERRUPTION if control.interrupts else PATIENCE)

    def follow(self, loaded: LoadedProject) -> bool:
        """Be ready to deliver by these definitions; if that is impossible, by those before."""
        try:
            self._outbox = Outbox(loaded, None)
        except FAILURES as error:
            tell(Alarm(f"{sentence_of(error)}; deliveries go on with the definitions before"))
            self._outbox = Outbox(self._loaded, None)
            return False
        self._loaded = loaded
        return True


@contextmanager
def _server(loaded: LoadedProject, pulls: Refreshing, *, serves: bool) -> Iterator[Served | None]:
    """What answers clients, if it is to, and who asks for metrics; `None` if nobody can ask."""
    with ExitStack() as held:
        doors = held.enter_context(
            closing(open_doors(loaded, must_listen=True, for_clients=serves, is_shared=True))
        )
        server: Served | None = None
        if doors.public is not None or doors.admin is not None:
            # It is imported by the process that answers: it takes a fifth of a start.
            from cli.server import served

            server = held.enter_context(served(loaded, doors, pulls))
        for sentence in doors.sentences:
            tell(sentence)
        yield server


def _nothing() -> None:
    """Nobody has to be told."""
