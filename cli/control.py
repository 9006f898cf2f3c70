"""What makes a running job end: a signal, changed definitions, a backfill, a clock set back.

A plan is woven through readers and key groups, so a job does not change it while it runs.  It ends
as it does on SIGTERM, which stores its state, and the next one goes on from there in the same
process.  That takes a second or two, and events wait in their sources.

The folder is looked at once a second, and at once on SIGHUP.  Definitions with mistakes are shown,
and the job goes on with those it has; it also does so until what new definitions ask of the
warehouse has been pulled.  A request for a backfill ends the job, too: the next one
begins with it.

Bytewax stores state whenever the wall clock has moved on by an epoch.  Where somebody sets the
clock back, it would not do so until the clock has made up for it.  So such a job ends as well, and
the next one goes on with the same definitions.

Backfills and clocks concern the job that evaluates; the other parts of `usher run` follow changed
definitions alone.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cli.failures import show_mistakes
from connectors.discretion import fault
from connectors.sentences import Alarm, Trouble
from dataflows.backfill import requested_backfill
from dataflows.log_lines import tell
from dataflows.ownership import usher_folder
from dataflows.preparation import lacking
from dataflows.signals import handled
from project.columns import Remembered
from project.folder import LoadedProject, load_project, read_files

_INTERVAL_SECONDS = 1.0

# A wall clock that falls behind by less (seconds), as when it is being adjusted, delays an epoch by
# as much.
_TOLERATED = 1.0


class Control:
    """Ends the attached job, and knows with which definitions the next one begins."""

    def __init__(
        self,
        loaded: LoadedProject,
        wait_for: Callable[[LoadedProject | None], None],
        ending: Callable[[], None],
        *,
        evaluates: bool,
    ) -> None:
        self._evaluates = evaluates
        self._root = loaded.root
        self._latest = loaded
        self._wait_for = wait_for
        self._ending = ending
        self._awaiting: LoadedProject | None = None  # definitions that lack a pull
        # None were compared yet: they may have changed since they were loaded.
        self._files: dict[str, str] = {}
        self._seen: dict[str, str] = {}
        self._ahead = _ahead()
        self._next: LoadedProject | None = None
        self._job = threading.Event()
        self._backfill: str | None = None  # the request that the attached job sees to
        self._ended = False
        self._asked = threading.Event()

    def attach(self, stop: threading.Event, backfill: str | None = None) -> None:
        """From now on end the job that ends when `stop` is set; it sees to a backfill's request."""
        self._job = stop
        self._backfill = backfill
        if self._ended or self._next is not None:
            stop.set()

    def end(self) -> None:
        """End the job for good."""
        self._ended = True
        self._job.set()
        self._ending()

    def reload(self) -> None:
        """Look at the definitions now."""
        self._asked.set()

    @property
    def has_ended(self) -> bool:
        """Whether there is to be no other job."""
        return self._ended

    @property
    def interrupts(self) -> bool:
        """Whether the job ends only for other definitions."""
        return self._next is not None and not self._ended

    def take_next(self) -> LoadedProject | None:
        """The definitions that the job was ended for; `None` if it has ended for good."""
        taken, self._next = self._next, None
        return None if self._ended else taken

    def watch(self) -> None:
        """Look at the definitions until the job has ended for good."""
        asked, told = False, ""
        while True:
            asked |= self._asked.wait(_INTERVAL_SECONDS)
            if self._ended:
                return
            self._asked.clear()
            try:
                self._look(asked=asked)
            except Exception as error:  # noqa: BLE001  a folder may be out of reach for a while
                failed = f"definitions cannot be looked at: {fault(error)}"
                if failed != told:
                    tell(Alarm(failed))
                told = failed
            else:
                asked, told = False, ""

    def _look(self, *, asked: bool) -> None:
        if self._evaluates:
            self._look_at_clock()
            self._look_for_backfill()
        before, (self._seen, _) = self._seen, read_files(self._root)
        # Files that have just changed may be changing still.
        if asked or (self._seen == before and self._seen != self._files):
            self._files = self._seen
            self._compare(asked=asked)
        if self._awaiting is not None and not lacking(self._awaiting):
            self._take(self._awaiting)

    def _look_at_clock(self) -> None:
        earlier, self._ahead = self._ahead, _ahead()
        if earlier - self._ahead > _TOLERATED:
            self._begin_anew(earlier - self._ahead)

    def _begin_anew(self, seconds: float) -> None:
        tell(
            Trouble(
                f"the clock was set back by {seconds:.0f} s; no window runs out until it has made "
                "up for it"
            )
        )
        self._next = self._next or self._latest
        self._job.set()

    def _look_for_backfill(self) -> None:
        request = requested_backfill(usher_folder(self._root))
        if request not in (None, self._backfill):
            self._backfill = request
            self._next = self._next or self._latest
            self._job.set()

    def _compare(self, *, asked: bool) -> None:
        loading = load_project(self._root, remembered=Remembered.WHERE_NEEDED)
        if loading.loaded is None:
            show_mistakes(loading.diagnostics)
            tell(Alarm("the definitions have mistakes; the job goes on with those before"))
        elif loading.loaded.project == self._latest.project:
            self._await(None)
            if asked:
                tell("the definitions have not changed")
        elif missing := lacking(loading.loaded):
            self._await(loading.loaded)
            tell(
                f"the definitions ask what no snapshot of {', '.join(missing)} answers; "
                "the job goes on with those before until that is pulled"
            )
        else:
            self._take(loading.loaded)

    def _await(self, loaded: LoadedProject | None) -> None:
        self._awaiting = loaded
        self._wait_for(loaded)

    def _take(self, loaded: LoadedProject) -> None:
        self._await(None)
        self._latest = self._next = loaded
        self._job.set()


def _ahead() -> float:
    """How much the wall clock is ahead of one that nobody can set: it falls when it is set back."""
    return time.time() - time.monotonic()


@contextmanager
def controlled(
    loaded: LoadedProject,
    wait_for: Callable[[LoadedProject | None], None],
    ending: Callable[[], None],
    *,
    evaluates: bool,
) -> Iterator[Control]:
    """Signals and changed files reach the control: SIGTERM and SIGINT end, SIGHUP reloads.

    Definitions that need a pull first are given to `wait_for`; with `None`, none wait any more.
    `ending` is called when the last job is being ended.  One that `evaluates` ends for backfills
    and for a clock that is set back, too.
    """
    control = Control(loaded, wait_for, ending, evaluates=evaluates)
    actions = {
        signal.SIGTERM: control.end,
        signal.SIGINT: control.end,
        signal.SIGHUP: control.reload,
    }
    watcher = threading.Thread(target=control.watch, name="usher-definitions", daemon=True)
    watcher.start()
    try:
        with handled(actions):
            yield control
    finally:
        control.end()
        control.reload()
        watcher.join()
