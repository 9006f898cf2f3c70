"""The pulls that a process of ours starts: on schedule, for definitions that wait, and when asked.

`schedules` decides when.  Each pull is a process of its own, one at a time a parent model.  One
that is asked for begins after it was, so that it reads what its asker knows of, and waits for one
that is under way.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from audience_dsl.instants import SECOND, format_instant
from cli.children import said_last, start_child
from cli.orders import Failed, Order
from connectors.discretion import fault
from connectors.sentences import Alarm, Trouble
from connectors.wall_clock import wall_clock
from dataflows.log_lines import tell
from dataflows.preparation import lacking
from project.folder import LoadedProject
from schedules.freshness import freshness_of
from schedules.refreshes import pause
from warehouse.history import Pull, Trigger
from warehouse.refresh import Request
from warehouse.versions import Versions, default_store

_INTERVAL_SECONDS = 1.0


class Refreshing:
    """Starts pulls for the running definitions, and for those that wait for one.

    Without a schedule, only those that are asked for: another process sees to the others.
    """

    def __init__(self, loaded: LoadedProject, *, on_schedule: bool) -> None:
        self._loaded = loaded
        self._on_schedule = on_schedule
        self._asked: dict[str, Request] = {}  # and not started yet
        self._awaiting: LoadedProject | None = None
        self._pulls: dict[str, _Process] = {}
        self._failures: dict[str, int] = {}  # in a row, of each parent model
        self._not_before: dict[str, float] = {}  # by the clock that nobody sets
        self._stale: set[str] = set()
        self._lock = threading.Lock()
        self._ended = False
        self._woken = threading.Event()

    def follow(self, loaded: LoadedProject) -> None:
        """The running job has these definitions."""
        with self._lock:
            self._loaded = loaded

    def wait_for(self, loaded: LoadedProject | None) -> None:
        """Pull what these definitions lack; with `None` nobody waits any more."""
        with self._lock:
            self._awaiting = loaded
            self._not_before.clear()

    def ask(self, parent_model: str, *, full: bool) -> bool:
        """See `serving.asking.Pulls`."""
        with self._lock:
            waiting = self._asked.get(parent_model)
            full = full or (waiting is not None and waiting.full)
            self._asked[parent_model] = Request(Trigger.ON_DEMAND, full=full)
        self._woken.set()
        return waiting is None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Pulls happen within; those that are under way at its end are ended."""
        thread = threading.Thread(target=self._work, name="usher-pulls", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended = True
            self._woken.set()
            thread.join()

    def _work(self) -> None:
        try:
            while True:
                self._woken.wait(_INTERVAL_SECONDS)
                self._woken.clear()
                if self._ended:
                    break
                try:
                    self._look()
                except Exception as error:  # noqa: BLE001  the job needs pulls as long as it runs
                    tell(Alarm(f"pulls are looked after again in a second: {fault(error)}"))
        finally:
            for one in self._pulls.values():
                one.kill()

    def _look(self) -> None:
        with self._lock:
            ended = {key: one for key, one in self._pulls.items() if one.has_ended}
            for parent in ended:
                del self._pulls[parent]
            loaded, awaiting = self._loaded, self._awaiting
        for parent, process in ended.items():
            self._take(parent, process)
        self._start_asked(loaded)
        if self._on_schedule:
            self._start_due(loaded, awaiting)

    def _start_asked(self, loaded: LoadedProject) -> None:
        with self._lock:
            for parent in list(self._asked):
                if parent in self._pulls or _is_pulled_elsewhere(loaded, parent):
                    continue
                request = self._asked.pop(parent)
                if parent in loaded.project.plans:  # as it was when it was asked for
                    self._begin(Order(loaded, parent, request))

    def _start_due(self, loaded: LoadedProject, awaiting: LoadedProject | None) -> None:
        missing = [] if awaiting is None else lacking(awaiting)
        for parent in missing:
            assert awaiting is not None
            self._start(awaiting, parent, Trigger.DEFINITION)
        now = wall_clock()
        for parent, plan in loaded.project.plans.items():
            try:
                found = freshness_of(loaded.root, plan, now)
            except OSError as error:
                self._fail(parent, f"parent model {parent}: {error}")
                continue
            self._warn(parent, is_stale=found.is_stale)
            if parent not in missing and found.next_pull <= now:
                self._start(loaded, parent, Trigger.SCHEDULED)

    def _start(self, loaded: LoadedProject, parent: str, trigger: Trigger) -> None:
        with self._lock:
            if time.monotonic() < self._not_before.get(parent, 0.0):
                return
            if parent not in self._pulls and not _is_pulled_elsewhere(loaded, parent):
                self._begin(Order(loaded, parent, Request(trigger)))

    def _begin(self, order: Order) -> None:
        parent = order.parent_model
        try:
            self._pulls[parent] = _Process(order)
        except OSError as error:
            self._fail(parent, f"the pull of {parent} cannot be started: {error}", order.request)

    def _take(self, parent: str, process: _Process) -> None:
        match process.outcome():
            case Pull() as pull:
                self._failures.pop(parent, None)
                tell(f"{parent}: pulled {pull.rows:,} rows, {pull.moved:,} users moved")
            case Failed(sentence):
                self._fail(parent, sentence, process.request)

    def _fail(self, parent: str, sentence: str, request: Request | None = None) -> None:
        if request is not None and request.trigger is Trigger.ON_DEMAND:
            tell(Trouble(f"{sentence}; what is in force stays"))
            return
        failures = self._failures[parent] = self._failures.get(parent, 0) + 1
        seconds = pause(failures) / SECOND
        self._not_before[parent] = time.monotonic() + seconds
        tell(
            Trouble(f"{sentence}; what is in force stays, and it is tried again in {seconds:.0f} s")
        )

    def _warn(self, parent: str, *, is_stale: bool) -> None:
        if is_stale and parent not in self._stale:
            self._stale.add(parent)
            plan = self._loaded.project.plans[parent]
            snapshot = freshness_of(self._loaded.root, plan, wall_clock()).snapshot
            since = "" if snapshot is None else format_instant(snapshot.manifest.read_at)
            told = f"{parent} is stale: its rows are those of {since}; see: usher pulls {parent}"
            tell(Trouble(told))
        elif not is_stale and parent in self._stale:
            self._stale.discard(parent)
            tell(f"{parent} is current again")


class _Process:
    """One pull."""

    def __init__(self, order: Order) -> None:
        self._last_words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self.request = order.request
        self._process, self._connection = start_child(
            "puller", order, self._last_words, stdin=subprocess.DEVNULL
        )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def outcome(self) -> Pull | Failed:
        """What came of it, once it has ended."""
        with self._connection, self._last_words as words:
            try:
                if self._connection.poll():
                    found: Pull | Failed = self._connection.recv()
                    return found
            except (EOFError, OSError):
                """It has died."""
            said = said_last(words)
            died = f"the process of a pull has died ({self._process.returncode})"
            return Failed(f"{died}: {said}" if said else died)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self._last_words.close()


def _is_pulled_elsewhere(loaded: LoadedProject, parent_model: str) -> bool:
    """Whether another process pulls it, by hand perhaps."""
    return Versions(default_store(loaded.root), parent_model).is_locked
