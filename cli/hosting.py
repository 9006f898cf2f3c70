"""The HTTP server beside a job, as the job sees it: a child (`cli.child`) that it keeps running.

In the job's own process each of the two had to wait for Python's interpreter while the other one
computed, and a question took three times as long at its slowest.  The server finds nearly all that
it tells in the project's folder and in the store.  How far the job has come goes over the child's
socket; what will become of users it asks as servers do that are not a job's own
(`dataflows.question_socket`).

Its sockets for clients stay open here until the job ends.  So a server that has died starts again
without a client being turned away, and whatever it has acknowledged is on the disk.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import IO

from cli.children import said_last, start_child
from connectors.sentences import Trouble
from dataflows.cluster import Refused
from dataflows.log_lines import tell
from dataflows.progress import Progress
from dataflows.refusal import JobRefused
from project.folder import LoadedProject
from serving.addresses import Certificate, Doors, open_doors

# Seconds between two times at which the server is told how far the job has come.
_TOLD_EVERY = 0.25

# Seconds that it may take to stop, which it does when all that was asked is answered.
_STOPPING = 15.0

# Seconds before it is started again, doubled with each start that came to nothing.
_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """What the server's process is told first; sockets are descriptors that it inherits."""

    loaded: LoadedProject
    public: int | None
    admin: int | None
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Follow:
    """From now on answer by these definitions."""

    loaded: LoadedProject


@dataclass(frozen=True, slots=True)
class Drain:
    """The job is about to end: go on answering, and say that others are to be asked."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End when all that was asked is answered."""


@dataclass(frozen=True, slots=True)
class Began:
    """The server answers."""


# What the server is told, and what it tells.
Told = Follow | Progress | Drain | Stop
News = Began | Refused


@contextmanager
def hosting(
    loaded: LoadedProject,
    progress: Progress,
    lock: int,
    *,
    for_clients: bool,
    is_shared: bool,
) -> Iterator[Hosting]:
    """The server of a job, whose `progress` it tells; it answers within.

    Args:
        lock: The descriptor of a lock that its process holds as long as it lives.
        for_clients, is_shared: As for `open_doors`.

    Raises:
        JobRefused: it cannot listen where it should.
    """
    with (
        closing(
            open_doors(loaded, must_listen=False, for_clients=for_clients, is_shared=is_shared)
        ) as doors,
        closing(Hosting(loaded, doors, progress, lock)) as hosted,
    ):
        yield hosted


class Hosting:
    """To be closed."""

    def __init__(self, loaded: LoadedProject, doors: Doors, progress: Progress, lock: int) -> None:
        self._loaded = loaded
        self._doors = doors
        self._progress = progress
        self._inherited = lock
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._draining = False
        self._closing = threading.Event()
        self._begun = threading.Event()  # or refused to, before it ever did
        self._refused = ""
        self._thread = threading.Thread(target=self._keep, name="usher-server", daemon=True)
        if doors.public is not None or doors.admin is not None:
            self._thread.start()
        else:
            self._begun.set()

    def announce(self) -> None:
        """Say where it is, as soon as it answers.

        Raises:
            JobRefused: it does not.
        """
        self._begun.wait()
        if self._refused:
            raise JobRefused(self._refused)
        for sentence in self._doors.sentences:
            tell(sentence)

    def follow(self, loaded: LoadedProject) -> None:
        """From now on it answers by these definitions."""
        with self._lock:
            self._loaded = loaded
        self._say(Follow(loaded))

    def drain(self) -> None:
        """From now on it says that it is not ready, as its end is near."""
        with self._lock:
            self._draining = True
        self._say(Drain())

    def close(self) -> None:
        with self._lock:
            self._closing.set()
            # Else whoever connects when the server is gone would wait in vain, and be cut off.
            self._doors.close()
        self._say(Stop())
        if self._thread.is_alive():
            self._thread.join(_STOPPING)
            with self._lock:
                if self._process is not None:
                    self._process.kill()
            self._thread.join()

    def _say(self, told: Told) -> None:
        with self._lock:
            if self._process is not None:
                self._process.say(told)

    def _keep(self) -> None:
        pause = _PAUSE
        while not self._closing.is_set():
            what, has_begun = self._live()
            if self._closing.is_set():
                break
            if not self._begun.is_set():
                self._refused = what
                break
            pause = _PAUSE if has_begun else min(2 * pause, _LONGEST_PAUSE)
            tell(Trouble(f"{what}; it starts again in {pause:g} s"))
            self._closing.wait(pause)
        self._begun.set()

    def _live(self) -> tuple[str, bool]:
        """One life of its process: how that has ended, and whether it answered before."""
        try:
            process = self._start()
        except OSError as error:
            return f"the process of the HTTP server cannot be started: {error.strerror}", False
        if process is None:
            return "", False
        refused, has_begun = self._listen(process)
        with self._lock:
            self._process = None
        return refused or process.death(), has_begun

    def _start(self) -> _Process | None:
        with self._lock:
            if self._closing.is_set():
                return None
            self._process = _Process(self._task(), self._progress, self._inherited)
            if self._draining:
                self._process.say(Drain())
            return self._process

    def _listen(self, process: _Process) -> tuple[str, bool]:
        """Until it has ended: why it could not go on if it says so, and whether it has begun."""
        refused, has_begun = "", False
        for news in process.news():
            match news:
                case Began():
                    has_begun = True
                    self._begun.set()
                case Refused(sentence):
                    refused = sentence
        return refused, has_begun

    def _task(self) -> Task:
        doors = self._doors
        return Task(
            loaded=self._loaded,
            public=None if doors.public is None else doors.public.fileno(),
            admin=None if doors.admin is None else doors.admin.fileno(),
            certificate=doors.certificate,
        )


class _Process:
    """One life of the server's process."""

    def __init__(self, task: Task, progress: Progress, lock: int) -> None:
        self._progress = progress
        inherited = [one for one in (task.public, task.admin, lock) if one is not None]
        with ExitStack() as held:
            self._last_words: IO[bytes] = held.enter_context(tempfile.TemporaryFile())
            self._process, self._connection = start_child(
                "hosted", task, self._last_words, *inherited, stdin=subprocess.DEVNULL
            )
            held.pop_all()  # it is closed with its death
        # Whoever has something to say does not wait until it is heard.
        self._outgoing: SimpleQueue[Told] = SimpleQueue()
        threading.Thread(target=self._send, name="usher-server-line", daemon=True).start()

    def say(self, told: Told) -> None:
        self._outgoing.put(told)

    def news(self) -> Iterator[News]:
        """What it tells, until it has ended."""
        try:
            while True:
                yield self._connection.recv()
        except (EOFError, OSError):
            return

    def kill(self) -> None:
        self._process.kill()

    def death(self) -> str:
        """Wait for its end, and say how it came about."""
        code = self._process.wait()
        self._connection.close()
        with self._last_words as words:
            said = said_last(words)
        died = f"the process of the HTTP server has died ({code})"
        return f"{died}: {said}" if said else died

    def _send(self) -> None:
        try:
            while True:
                try:
                    told = self._outgoing.get(timeout=_TOLD_EVERY)
                except Empty:
                    told = self._progress
                self._connection.send(told)
        except OSError:
            """It has ended, as its news tell."""
