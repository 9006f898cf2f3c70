"""The outbox: the journal's transitions on their way to whoever waits for them.

Nobody is told what the core proposes, only what the journal has accepted.  Whoever records into it
goes on at once; here, threads read what follows, print it, and bring it to the destinations of
syncs.  What a crash interrupts is delivered again, with the ids that it had.

Where the job is more than one process, one of them has the outbox; deliveries may also be the work
of a process of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext

from connectors.sentences import Trouble
from dataflows.destinations import open_deliveries
from dataflows.lines import json_line, text_line
from dataflows.log_lines import tell
from dataflows.ownership import delivering
from dataflows.printing import Printing
from dataflows.pruning import Pruning
from membership.facts import Recorded
from membership.reader import MembershipReader
from membership.store import MembershipStore
from membership.tail import JournalTail
from project.folder import LoadedProject
from project.stores import open_reader, retention_of

Show = Callable[[Sequence[str]], None]

# Seconds between two looks at the journal, for what nobody has announced.
_LOOK = 0.03

# Seconds that the printing may take to notice that it has been ended.
_NOTICED = 1.0


class Outbox:
    """Prints and delivers, from `begin` until `close`.

    Args:
        show: Given lines, some at a time; without it nothing is printed.
        delivers: Whether syncs are delivered here.

    Raises:
        DestinationError: a destination cannot be opened with its settings.
    """

    def __init__(
        self,
        loaded: LoadedProject,
        show: Show | None,
        *,
        json: bool = False,
        delivers: bool = True,
    ) -> None:
        self._loaded = loaded
        self._show = show
        self._line = json_line if json else text_line
        self._deliveries = open_deliveries(loaded) if delivers else None
        self._printing: Printing | None = None
        self._reader: MembershipReader | None = None
        self._tail: JournalTail | None = None
        self._failed: Callable[[], None] = lambda: None
        self._pruning: Pruning | None = None
        self._moved = threading.Event()
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._look, name="usher-outbox", daemon=True)
        self._failure: Exception | None = None
        self._signs = ExitStack()

    def begin(self, store: MembershipStore, failed: Callable[[], None]) -> None:
        """Print what is recorded from now on, and deliver what is not delivered yet.

        Args:
            store: For what is remembered of deliveries; the caller closes it after the outbox.
            failed: Called once, from some thread, if nothing can be read or delivered any more;
                `drain` says why.

        Raises:
            StoreError: the store cannot be read or written.
        """
        self._failed = failed
        self._reader = open_reader(self._loaded)
        self._tail = JournalTail(self._reader)
        if self._show is not None:
            self._printing = Printing(self._line, self._show, self._tail, self._note)
        if self._deliveries is not None:
            for key in store.ledger.forget_others(self._loaded.project.syncs):
                tell(f"sync '{key}' is not defined any more; its place in the journal is forgotten")
            self._deliveries.begin(store.ledger, self._reader, self._tail, self._note)
            self._signs.enter_context(delivering(self._loaded.root))
        self._watch.start()
        self._pruning = Pruning(store, retention_of(self._loaded), tell)

    def wake(self, recorded: Recorded) -> None:
        """There is something to do; nobody has to say so, but it saves time."""
        if self._tail is not None:
            self._tail.announce(recorded)

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """As long as this lasts, nobody prints or delivers much; see `JournalTail.giving_way`."""
        with nullcontext() if self._tail is None else self._tail.giving_way():
            yield

    def drain(self, patience: float) -> None:
        """Return when all that the journal has now is printed, delivered and remembered as such.

        What a destination that is out of reach lacks is kept, for the next outbox.

        Args:
            patience: For so many seconds without any progress it waits.

        Raises:
            OSError: lines cannot be printed.
            StoreError: the store cannot be read or written.
        """
        if self._tail is None:
            return
        end = self._tail.look()
        if self._printing is not None:
            self._await(self._printing, end, patience)
        if self._deliveries is not None and self._failure is None:
            self._deliveries.drain(end, patience)
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Let go of everything; what is not delivered stays so."""
        self._closing.set()
        self._signs.close()
        if self._printing is not None:
            self._printing.end(_NOTICED)
        if self._watch.ident is not None:
            self._watch.join()
        if self._deliveries is not None:
            self._deliveries.close()
        if self._pruning is not None:
            self._pruning.close()
        if self._reader is not None:
            self._reader.close()

    def _await(self, printing: Printing, end: int, patience: float) -> None:
        seen, deadline = -1, 0.0
        while printing.printed < end and printing.failure is None:
            if printing.printed != seen:
                seen, deadline = printing.printed, time.monotonic() + patience
            elif time.monotonic() > deadline:
                tell(Trouble(f"what follows position {seen} of the journal is not printed yet"))
                return
            self._moved.wait(_LOOK)
            self._moved.clear()

    def _look(self) -> None:
        """Look at the journal until the outbox is closed."""
        assert self._tail is not None
        try:
            while not self._closing.wait(_LOOK):
                self._tail.look()
        except Exception as error:  # noqa: BLE001  else nobody would be told that it has ended
            self._fail(error)

    def _note(self) -> None:
        """Something was printed, or has failed."""
        self._moved.set()
        for failure in (
            self._printing and self._printing.failure,
            self._deliveries and self._deliveries.failure,
        ):
            if failure:
                self._fail(failure)

    def _fail(self, error: Exception) -> None:
        if self._failure is None and not self._closing.is_set():
            self._failure = error
            self._failed()
