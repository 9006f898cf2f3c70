"""A crew: the processes of a job on this machine, for one start of it.

All of them stop in good order together, or end together: Bytewax's cluster knows no other way.  One
that dies takes the others along, and whoever has started the crew starts the next one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path

from cli.children import said_last, start_child
from cli.worker import STOP
from dataflows.cluster import Began, Counted, News, Part, Refused, SourceFailed
from dataflows.progress import Progress
from dataflows.questions import Question
from dataflows.refusal import JobRefused

# Seconds that the processes may take to load the product and to find each other, and to stop in
# good order when they have been told to.
MEETING = 90.0
STOPPING = 60.0

# When one has died, the others may tell why for as long: it may have been their fault.
_LAST_WORDS = 0.5

# Between two looks at whether something is asked, or all are to stop.
_LOOK = 0.03


class Crew:
    """Processes that do their parts.

    Args:
        logs: The folder for what the processes say when they die.
        lock: The descriptor of a lock that they hold as long as they live.
        heard: Told the news that are not the crew's own business.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        logs: Path,
        lock: int,
        heard: Callable[[News], None],
        meeting: float = MEETING,
    ) -> None:
        self._heard = heard
        self._meeting = meeting
        self._stops_by: float | None = None
        self._refused: list[str] = []
        self.source_failed = ""
        """What is to be said of a source that cannot be read any more, if one cannot."""
        self._members: list[_Member] = []
        try:
            for part in parts:
                self._members.append(_Member(part, logs / f"worker-{part.number}.log", lock))
        except BaseException:
            self.close()
            raise

    def run(
        self, is_stopped: Callable[[], bool], asked: Callable[[], Sequence[Question]] = tuple
    ) -> str:
        """Return when all have ended: empty if they were told to, else what has happened.

        Args:
            asked: What is to be asked of their state by now.

        Raises:
            JobRefused: one of them cannot go on, and could not if it were started again.
        """
        meets_by = time.monotonic() + self._meeting
        dies_by: float | None = None
        what = ""
        while any(member.runs for member in self._members):
            now = time.monotonic()
            if is_stopped() or self.source_failed:
                self._stop(now)
            if dies_by is None and any(member.has_died for member in self._members):
                dies_by = now + _LAST_WORDS
            if self._stops_by is None and now > meets_by and not self._has_begun:
                what = f"the workers have not found each other within {self._meeting:.0f} s"
                dies_by = now
            if self._stops_by is not None and now > self._stops_by:
                what = f"the workers have not stopped within {STOPPING:.0f} s"
                dies_by = now
            if dies_by is not None and now >= dies_by:
                what = what or self._death()
                self.close()
                break
            if self._has_begun and (questions := asked()):
                for member in self._members:
                    member.ask(questions)
            self._listen()
        if self._refused:
            raise JobRefused(self._refused[0])
        return what or self._death()

    @property
    def progress(self) -> Sequence[Progress]:
        """How far each has come, as far as is known."""
        return [member.progress for member in self._members]

    def close(self) -> None:
        """End those that still run, at once; the next ones go on from what they have stored."""
        for member in self._members:
            member.kill()

    @property
    def _has_begun(self) -> bool:
        return all(member.has_begun for member in self._members)

    def _stop(self, now: float) -> None:
        if self._stops_by is not None:
            return
        self._stops_by = now + STOPPING
        if not self._has_begun:  # nothing was read, and who waits for others would wait for ever
            self.close()
        for member in self._members:
            member.stop()

    def _listen(self) -> None:
        running = [member.connection for member in self._members if member.runs]
        ready = wait(running, _LOOK)
        for member in self._members:
            if member.connection in ready:
                for news in member.news():
                    self._take(member, news)

    def _take(self, member: _Member, news: News) -> None:
        match news:
            case Began():
                member.has_begun = True
            case Counted(progress):
                member.progress = progress
                self._heard(news)
            case Refused(sentence):
                self._refused.append(sentence)
            case SourceFailed(sentence):
                self.source_failed = self.source_failed or sentence
            case _:
                self._heard(news)

    def _death(self) -> str:
        """Of those that have died, the one that was killed; the others may have died of that."""
        dead = [member for member in self._members if member.has_died]
        return min(dead, key=lambda member: member.code).death if dead else ""


class _Member:
    """One process."""

    def __init__(self, part: Part, log: Path, lock: int) -> None:
        self.number = part.number
        self.has_begun = False
        self.progress = Progress()
        self.code = 0
        self._stopped = False
        self._killed = False  # by us
        self._log = log
        with log.open("ab") as last_words:
            self._log_begins = last_words.tell()
            self._process: subprocess.Popen[bytes] | None
            self._process, self.connection = start_child("worker", part, last_words, lock)

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def has_died(self) -> bool:
        """Whether it has ended otherwise than it was told to."""
        return not self.runs and not self._killed and (self.code != 0 or not self._stopped)

    @property
    def death(self) -> str:
        if self.code < 0:
            return f"worker {self.number} was killed by {signal.Signals(-self.code).name}"
        with self._log.open("rb") as last_words:
            said = said_last(last_words, self._log_begins)
        words = f" ({said})" if said else ""
        return f"worker {self.number} has failed{words}; see {self._log}"

    def news(self) -> list[News]:
        """What it has told; it has ended if it will tell nothing more."""
        found: list[News] = []
        try:
            while self.connection.poll():
                found.append(self.connection.recv())
        except (EOFError, OSError):
            self._reap()
        return found

    def ask(self, questions: Sequence[Question]) -> None:
        if self.runs and not self._stopped:
            with suppress(OSError):
                self.connection.send(questions)

    def stop(self) -> None:
        self._stopped = True
        if self.runs:
            with suppress(OSError):
                self.connection.send(STOP)

    def kill(self) -> None:
        if self._process is not None:
            self._killed = True
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._reap()

    def _reap(self) -> None:
        assert self._process is not None
        self.code = self._process.wait()
        self._process = None
        self.connection.close()
