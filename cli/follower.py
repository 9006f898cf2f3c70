"""The supervisor of a machine that does not lead: it starts its workers when the leader says so.

It prepares nothing and brings out nothing.  It waits for notices of the leader, each of which is
one start of the job; and it stops with the others and waits for the next.
"""

from __future__ import annotations

import fcntl
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cli.compiling import compile_core
from cli.crew import Crew
from cli.sites import await_machines, is_stopped, say_stop
from connectors.sentences import Trouble
from dataflows.cluster import News, Part, cluster_folder
from dataflows.log_lines import tell
from dataflows.machines import Board, Machines, Notice, Presence, definitions_digest
from dataflows.recovery import with_stored_audiences
from dataflows.refusal import JobRefused
from dataflows.signals import handled
from project.columns import Remembered
from project.folder import LoadedProject, load_project
from warehouse.versions import Versions, default_store

_LOOK = 0.2


def follow(loaded: LoadedProject, machines: Machines) -> None:
    """Do as the leader says until SIGTERM or SIGINT."""
    follower = Follower(loaded, machines)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the leader looks after the definitions
    stop = follower.stop.set
    with handled({signal.SIGTERM: stop, signal.SIGINT: stop}):
        compile_core()
        tell(f"machine {machines.number} is running; stop with SIGTERM or Ctrl-C")
        follower.run()
    tell("stopped")


class Follower:
    """`stop` ends it, and the job on all machines until it is back."""

    def __init__(self, loaded: LoadedProject, machines: Machines) -> None:
        self._root = loaded.root
        self._machines = machines
        self._folder = cluster_folder(loaded.root)
        self._board = Board(self._folder)
        self.stop = threading.Event()

    def run(self) -> None:
        """Return when it has been stopped.

        Raises:
            JobRefused: the machines do not agree, or the leader does not come.
        """
        done = ""
        with (
            sole_follower(self._folder, self._machines.number) as lock,
            closing(Presence(self._folder, self._machines)) as presence,
        ):
            while not self.stop.wait(_LOOK):
                await_machines(presence, self._folder, self.stop)
                notice = self._board.notice()
                if notice is None or notice.start == done or self.stop.is_set():
                    continue
                loaded = self._loaded(notice)
                if loaded is None:
                    continue
                done = notice.start
                what = self._run_crew(loaded, notice, lock)
                if what and not self.stop.is_set():
                    tell(Trouble(f"{what}; waiting for machine 0 to start the job again"))

    def _run_crew(self, loaded: LoadedProject, notice: Notice, lock: int) -> str:
        meetings = self._board.meetings(notice.start)
        parts = [
            Part(
                loaded=loaded,
                started=notice.started,
                snapshots={
                    key: Versions(default_store(self._root), key).folder / version
                    for key, version in notice.snapshots.items()
                },
                number=number,
                addresses=self._machines.of_workers,
                stored=notice.stored,
                clock=notice.clock,
                meetings=meetings,
            )
            for number in self._machines.own
        ]

        def is_over() -> bool:
            if self.stop.is_set() or crew.source_failed:
                say_stop(meetings)
                return True
            newest = self._board.notice()
            return is_stopped(meetings) or newest is None or newest.start != notice.start

        with closing(Crew(parts, self._folder, lock, _unheard)) as crew:
            return crew.run(is_over) or crew.source_failed

    def _loaded(self, notice: Notice) -> LoadedProject | None:
        """The project, if this machine sees it as the leader does; it may take a moment."""
        if (notice.workers, notice.machines) != (
            self._machines.workers,
            len(self._machines.addresses),
        ):
            raise JobRefused(
                f"machine 0 was started with {notice.workers} workers on {notice.machines} "
                f"machines, this one with {self._machines.workers} on "
                f"{len(self._machines.addresses)}; --workers and --machines have to be the same"
            )
        if definitions_digest(self._root) != notice.definitions:
            return None
        loaded = load_project(self._root, remembered=Remembered.WHERE_NEEDED).loaded
        return None if loaded is None else with_stored_audiences(loaded)


@contextmanager
def sole_follower(folder: Path, number: int) -> Iterator[int]:
    """Hold the place of a machine; the descriptor is for its workers to inherit.

    Raises:
        JobRefused: somebody else holds it.
    """
    path = folder / f"machine-{number}.lock"
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JobRefused(f"machine {number} runs already (it holds {path})") from None
        yield lock.fileno()


def _unheard(_news: News) -> None:
    """The leader's workers tell the same, or their outbox finds it in the journal."""
