"""The pulls that a running job starts by itself: on schedule, and for definitions that wait.

`schedules` decides when.  Each pull is a process of its own, one at a time a parent model.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from typing import IO

from audience_dsl.instants import SECOND, format_instant
from cli.orders import Failed, Order
from dataflows.following import wall_clock
from dataflows.preparation import lacking, tell
from project.folder import LoadedProject
from schedules.freshness import freshness_of
from schedules.refreshes import pause
from warehouse.history import Pull, Trigger

_INTERVAL_SECONDS = 1.0


class Refreshing:
    """Starts pulls for the running definitions, and for those that wait for one."""

    def __init__(self, loaded: LoadedProject) -> None:
        self._loaded = loaded
        self._awaiting: LoadedProject | None = None
        self._pulls: dict[str, _Process] = {}
        self._failures: dict[str, int] = {}  # in a row, of each parent model
        self._not_before: dict[str, float] = {}  # by the clock that nobody sets
        self._stale: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def follow(self, loaded: LoadedProject) -> None:
        """The running job has these definitions."""
        with self._lock:
            self._loaded = loaded

    def wait_for(self, loaded: LoadedProject | None) -> None:
        """Pull what these definitions lack; with `None` nobody waits any more."""
        with self._lock:
            self._awaiting = loaded
            self._not_before.clear()

    def work(self) -> None:
        """Return when it is ended; the pulls that are under way end as well."""
        try:
            while not self._ended.wait(_INTERVAL_SECONDS):
                try:
                    self._look()
                except Exception as error:  # noqa: BLE001  the job needs pulls as long as it runs
                    tell(f"pulls are looked after again in a second: {error!r}")
        finally:
            for one in self._pulls.values():
                one.kill()

    def end(self) -> None:
        self._ended.set()

    def _look(self) -> None:
        for parent, process in list(self._pulls.items()):
            if process.has_ended:
                del self._pulls[parent]
                self._take(parent, process)
        with self._lock:
            loaded, awaiting = self._loaded, self._awaiting
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
        if parent in self._pulls or time.monotonic() < self._not_before.get(parent, 0.0):
            return
        try:
            self._pulls[parent] = _Process(Order(loaded, parent, trigger))
        except OSError as error:
            self._fail(parent, f"the pull of {parent} cannot be started: {error}")

    def _take(self, parent: str, process: _Process) -> None:
        match process.outcome():
            case Pull() as pull:
                self._failures.pop(parent, None)
                tell(f"{parent}: pulled {pull.rows:,} rows, {pull.moved:,} users moved")
            case Failed(sentence):
                self._fail(parent, sentence)

    def _fail(self, parent: str, sentence: str) -> None:
        failures = self._failures[parent] = self._failures.get(parent, 0) + 1
        seconds = pause(failures) / SECOND
        self._not_before[parent] = time.monotonic() + seconds
        tell(f"{sentence}; what is in force stays, and it is tried again in {seconds:.0f} s")

    def _warn(self, parent: str, *, is_stale: bool) -> None:
        if is_stale and parent not in self._stale:
            self._stale.add(parent)
            plan = self._loaded.project.plans[parent]
            snapshot = freshness_of(self._loaded.root, plan, wall_clock()).snapshot
            since = "" if snapshot is None else format_instant(snapshot.manifest.read_at)
            tell(f"{parent} is stale: its rows are those of {since}; see: usher pulls {parent}")
        elif not is_stale and parent in self._stale:
            self._stale.discard(parent)
            tell(f"{parent} is current again")


class _Process:
    """One pull."""

    def __init__(self, order: Order) -> None:
        self._last_words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", "cli.child", "puller", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._last_words,
                pass_fds=[theirs.fileno()],
            )
        with suppress(OSError):  # it has died already, as will be seen
            self._connection.send(order)

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
            words.seek(0)
            lines = words.read().decode(errors="replace").split("\n")
            said = next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")
            return Failed(f"the process of a pull has died ({self._process.returncode}){said}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self._last_words.close()


@contextmanager
def refreshing(loaded: LoadedProject) -> Iterator[Refreshing]:
    """Pulls happen by themselves within."""
    pulls = Refreshing(loaded)
    thread = threading.Thread(target=pulls.work, name="usher-pulls", daemon=True)
    thread.start()
    try:
        yield pulls
    finally:
        pulls.end()
        thread.join()
