"""The supervisor of a job of several processes: prepares it, starts its crews, brings out its news.

A crew of which one dies ends as a whole, and the next one goes on from the stored state.  It is
given a little longer each time; after a few that did not last, the supervisor ends as well and
leaves the rest to whoever has started it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from cli.crew import Crew
from cli.sites import Site
from connectors.sentences import Alarm, Trouble
from dataflows.cluster import (
    Answered,
    Compared,
    Counted,
    News,
    Part,
    Warming,
    cluster_folder,
    meeting_folder,
    prepare_cluster,
)
from dataflows.emission import Reconciliation, WarmingNotes
from dataflows.job import Start
from dataflows.log_lines import tell
from dataflows.outbox import Outbox
from dataflows.progress import Progress
from dataflows.questions import Asked, Questions
from dataflows.recovery import forget_state, open_recovery
from dataflows.refusal import JobRefused
from project.folder import LoadedProject
from project.stores import open_store

# A crew that lasts for less long (seconds) has not lasted; so many of those in a row are enough.
_LASTS = 60.0
_ENOUGH = 5

# Seconds before the next crew is started, doubled with each that did not last.
_PAUSE = 0.5


class Supervised:
    """A prepared job of several processes; `run` it once.

    `site` is where they are, and `lock` the descriptor of a lock that they share.

    Raises:
        JobRefused: the project asks for what this release cannot run.
        OSError: a destination cannot be written.
        StoreError: the membership store cannot be used.
        WarehouseError: a parent model cannot be pulled.
        SourceError: a source cannot be followed.
    """

    request = None
    is_interlude = False

    def __init__(
        self,
        loaded: LoadedProject,
        site: Site,
        lock: int,
        show: Callable[[Sequence[str]], None],
        *,
        json: bool,
        delivers: bool,
        reconciled: Callable[[int], None],
        progress: Progress,
        questions: Asked | None,
    ) -> None:
        self._loaded = loaded
        self._site = site
        self._lock = lock
        self._progress = progress
        self._questions: Asked = questions or Questions()
        self._tell_reconciled = reconciled
        self._warming = WarmingNotes()
        self.stop = threading.Event()
        """Ends the job in good order when it is set."""
        self.failed = False
        """Whether the job has ended because a source cannot be read any more."""
        with ExitStack() as held:
            self._store = held.enter_context(closing(open_store(loaded)))
            self._outbox = held.enter_context(
                closing(Outbox(loaded, show, json=json, delivers=delivers))
            )
            self.preparation = prepare_cluster(loaded)
            self._held = held.pop_all()

    def run(self, start: Start, patience: Callable[[], float]) -> None:
        """Return when the job has stopped, and all is printed and delivered.

        Args:
            patience: Asked when it has stopped: for so many seconds without any progress it waits
                for a destination.

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
                self._outbox.drain(patience())

    def _supervise(self) -> None:
        brief = 0
        while True:
            self._site.gather(self.stop)
            if self.stop.is_set():
                return
            began = time.monotonic()
            what = self._run_crew()
            if self.stop.is_set() or self.failed:
                if what:
                    tell(Trouble(what))
                return
            what = what or "another machine has stopped"
            brief = brief + 1 if time.monotonic() - began < _LASTS else 1
            if brief == _ENOUGH:
                raise JobRefused(
                    f"{what}; {brief} starts in a row have ended like this, so the job ends"
                )
            pause = _PAUSE * 2**brief
            tell(Trouble(f"{what}; the job starts again in {pause:.0f} s"))
            if self.stop.wait(pause):
                return
            self.preparation = prepare_cluster(self._loaded)

    def _run_crew(self) -> str:
        """What has happened, if the crew was not told to stop."""
        recovery = open_recovery(self._loaded)
        meetings = meeting_folder(self._loaded.root, secrets.token_hex(4))
        addresses = self._site.addresses()
        parts = [
            Part(
                loaded=self._loaded,
                started=self.preparation.started,
                snapshots={key: one.folder for key, one in self.preparation.snapshots.items()},
                number=number,
                addresses=addresses,
                stored=recovery.shares,
                clock=recovery.clock,
                meetings=meetings,
            )
            for number in self._site.own
        ]
        self._site.announce(self.preparation, recovery, meetings)
        reconciliation = Reconciliation(self._loaded, self._tell_reconciled)

        before = replace(self._progress)

        def heard(news: News) -> None:
            match news:
                case Compared(differences):
                    reconciliation.add(differences)
                case Warming(conditions):
                    self._warming.add(conditions)
                case Answered(answers):
                    self._questions.answer(answers)
                case Counted():
                    self._progress.see(before, crew.progress)

        def is_stopped() -> bool:
            if self.stop.is_set() or crew.source_failed:
                self._site.stop(meetings)
                return True
            return self._site.is_stopped(meetings)

        logs = cluster_folder(self._loaded.root)
        with closing(Crew(parts, logs, self._lock, heard)) as crew:
            what = crew.run(is_stopped, self._questions.taken)
        if crew.source_failed:
            self.failed = True
            tell(Alarm(f"{crew.source_failed}; the job stops"))
        return what
