"""Questions to a job from other processes of its machine, over a socket in the project's folder.

A server is the process beside the job, or one that was started on its own: it may come first, be
one of several, and outlive jobs.  So the job listens, and servers connect, again and again.  Each
is told all answers, as each asks with numbers of its own.  What either says is a list in JSON, one
a line.

Nobody waits until another one reads: a server that hangs holds up neither the stream nor other
servers.  What it leaves unread is dropped, as nobody there waits for it any more.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

import msgspec

from connectors.sentences import Trouble
from dataflows.log_lines import tell
from dataflows.ownership import usher_folder
from dataflows.questions import Answer, Question, Questions, Relay

_NAME = "questions.sock"

# Seconds before a job is looked for again, and before others are let in again.
_PAUSE = 0.5

# Lines that may wait until the other end reads.
_WAITING = 1_000

_QUESTIONS = msgspec.json.Decoder(list[Question])
_ANSWERS = msgspec.json.Decoder(list[Answer])


class Answering:
    """The job's end, to be closed; `questions` is what it is asked.

    Where the project's file system has no sockets nobody can ask, as the log says.
    """

    def __init__(self, root: Path) -> None:
        self.questions = Relay(self._tell)
        self._file = usher_folder(root) / _NAME
        self._lock = threading.Lock()
        self._lines: set[_Line] = set()
        self._closing = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._file.unlink(missing_ok=True)  # of a job that was killed
            with _short(self._file) as path:
                self._listener.bind(path)
            self._listener.listen()
        except OSError as error:
            tell(Trouble(f"servers cannot ask what is to come: {self._file}: {error.strerror}"))
            return
        threading.Thread(target=self._accept, name="usher-questions", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._file.unlink(missing_ok=True)
        with suppress(OSError):  # nobody listens
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for line in self._lines:
                line.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                server, _ = self._listener.accept()
            except OSError:  # it is being closed, or this process has too much open
                self._closing.wait(_PAUSE)
                continue
            line = _Line(server)
            with self._lock:
                self._lines.add(line)
            threading.Thread(target=self._listen, args=(line,), daemon=True).start()

    def _listen(self, line: _Line) -> None:
        with suppress(msgspec.MsgspecError):  # of another release
            for said in line.heard():
                self.questions.hand(_QUESTIONS.decode(said))
        with self._lock:
            self._lines.discard(line)
        line.close()

    def _tell(self, answers: Sequence[Answer]) -> None:
        said = msgspec.json.encode(answers)
        with self._lock:
            for line in self._lines:
                line.say(said)


class Asking:
    """A server's end, to be closed: `questions` are put to the job whenever there is one."""

    def __init__(self, root: Path, questions: Questions) -> None:
        self._file = usher_folder(root) / _NAME
        self._questions = questions
        self._closing = threading.Event()
        self._line = self._connected()
        for work in (self._listen, self._ask):
            threading.Thread(target=work, name="usher-questions", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._questions.waiting.set()
        if (line := self._line) is not None:
            line.close()

    def _connected(self) -> _Line | None:
        job = socket.socket(socket.AF_UNIX)
        try:
            with _short(self._file) as path:
                job.connect(path)
        except OSError:
            job.close()
            return None
        self._questions.is_heard = True
        return _Line(job)

    def _listen(self) -> None:
        while not self._closing.is_set():
            if (line := self._line) is not None:
                with suppress(msgspec.MsgspecError):  # of another release
                    for said in line.heard():
                        self._questions.answer(_ANSWERS.decode(said))
                self._questions.is_heard = False
                line.close()
            if not self._closing.wait(_PAUSE):
                self._line = self._connected()

    def _ask(self) -> None:
        waiting = self._questions.waiting
        while waiting.wait() and not self._closing.is_set():
            waiting.clear()
            asked = self._questions.taken()
            if (line := self._line) is not None:
                line.say(msgspec.json.encode(asked))


class _Line:
    """A connection between the two."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = connection.makefile("rb")
        self._unsent: SimpleQueue[bytes | None] = SimpleQueue()
        threading.Thread(target=self._send, daemon=True).start()

    def heard(self) -> Iterator[bytes]:
        """What the other end says, until one of them closes."""
        with suppress(OSError), self._read:
            yield from self._read

    def say(self, said: bytes) -> None:
        if self._unsent.qsize() < _WAITING:
            self._unsent.put(said)

    def close(self) -> None:
        with suppress(OSError):  # the other end has
            self._connection.shutdown(socket.SHUT_RDWR)
        self._unsent.put(None)

    def _send(self) -> None:
        with suppress(OSError), self._connection:
            while (said := self._unsent.get()) is not None:
                self._connection.sendall(said + b"\n")


@contextmanager
def _short(file: Path) -> Iterator[str]:
    """A socket's path has a hundred bytes at most, so it is named by way of its open folder."""
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        through = Path(f"/proc/self/fd/{folder}")
        yield str((through if through.exists() else file.parent) / file.name)
    finally:
        os.close(folder)
