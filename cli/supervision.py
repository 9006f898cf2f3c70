"""The supervisor of a job of several processes: prepares it, starts its crews, brings out its news.

A crew of which one dies ends as a whole, and the next one goes on from the stored state.  It is
given a little longer each time; after a few that did not last, the supervisor ends as well and
leaves the rest to whoever has started it.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

from cli.crew import Crew
from dataflows.cluster import (
    Compared,
    News,
    Part,
    Preparation,
    Warming,
    cluster_folder,
    meeting_folder,
    prepare_cluster,
)
from dataflows.emission import Reconciliation, WarmingNotes
from dataflows.job import Start
from dataflows.outbox import Outbox
from dataflows.preparation import JobRefused, tell
from dataflows.recovery import forget_state, open_recovery
from dataflows.summary import RecordCounts
from project.folder import LoadedProject
from project.stores import open_store

# A crew that lasts for less long (seconds) has not lasted; so many of those in a row are enough.
_LASTS = 60.0
_ENOUGH = 5

# Seconds before the next crew is started, doubled with each that did not last.
_PAUSE = 0.5


class Supervised:
    """A prepared job of several processes; `run` it once.

    `lock` is the descriptor of a lock that they share.

    Raises:
        JobRefused: the project asks for what this release cannot run.
        OSError: a destination cannot be written.
        StoreError: the membership store cannot be used.
        WarehouseError: a parent model cannot be pulled.
        SourceError: a source cannot be followed.
    """

    def __init__(
        self,
        loaded: LoadedProject,
        workers: int,
        lock: int,
        show: Callable[[Sequence[str]], None],
        *,
        json: bool,
        reconciled: Callable[[int], None],
        counts: RecordCounts,
    ) -> None:
        self._loaded = loaded
        self._workers = workers
        self._lock = lock
        self._counts = counts
        self._tell_reconciled = reconciled
        self._warming = WarmingNotes()
        self.stop = threading.Event()
        """Ends the job in good order when it is set."""
        self.failed = False
        """Whether the job has ended because a source cannot be read any more."""
        with ExitStack() as held:
            self._store = held.enter_context(closing(open_store(loaded)))
            self._outbox = held.enter_context(closing(Outbox(loaded, show, json=json)))
            self.preparation = prepare_cluster(loaded)
            self._held = held.pop_all()

    def run(self, start: Start) -> None:
        """Return when the job has stopped, and all is printed and delivered.

        Raises:
            JobRefused: the stored state is damaged, or the processes do not last.
            OSError, StoreError, SourceError, WarehouseError: as when it was made.
        """
        with self._held:
            self._outbox.begin(self._store, self.stop.set)
            try:
                if start is not Start.RESUME:
                    forget_state(self._loaded.root)
                self._supervise()
            finally:
                self._outbox.drain()

    def _supervise(self) -> None:
        brief = 0
        while True:
            began = time.monotonic()
            what = self._run_crew(self.preparation)
            if not what or self.stop.is_set() or self.failed:
                if what:
                    tell(what)
                return
            brief = brief + 1 if time.monotonic() - began < _LASTS else 1
            if brief == _ENOUGH:
                raise JobRefused(
                    f"{what}; {brief} starts in a row have ended like this, so the job ends"
                )
            pause = _PAUSE * 2**brief
            tell(f"{what}; the job starts again in {pause:.0f} s")
            if self.stop.wait(pause):
                return
            self.preparation = prepare_cluster(self._loaded)

    def _run_crew(self, preparation: Preparation) -> str:
        reconciliation = Reconciliation(self._loaded, self._tell_reconciled)

        def heard(news: News) -> None:
            match news:
                case Compared(differences):
                    reconciliation.add(differences)
                case Warming(conditions):
                    self._warming.add(conditions)

        with closing(
            Crew(self._parts(preparation), cluster_folder(self._loaded.root), self._lock, heard)
        ) as crew:
            try:
                what = crew.run(self.stop.is_set)
            finally:
                for counts in crew.counts:
                    self._counts.add(counts)
        if crew.source_failed:
            self.failed = True
            tell(f"{crew.source_failed}; the job stops")
        return what

    def _parts(self, preparation: Preparation) -> list[Part]:
        recovery = open_recovery(self._loaded)
        meetings = meeting_folder(self._loaded.root, secrets.token_hex(4))
        addresses = _free_addresses(self._workers)
        return [
            Part(
                loaded=self._loaded,
                started=preparation.started,
                snapshots={key: one.folder for key, one in preparation.snapshots.items()},
                number=number,
                addresses=addresses,
                stored=recovery.shares,
                meetings=meetings,
            )
            for number in range(self._workers)
        ]


def _free_addresses(count: int) -> tuple[str, ...]:
    """On this machine; should somebody else be quicker to use one, the crew starts once more."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    for one in sockets:
        one.close()
    return addresses
