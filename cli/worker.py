"""One process of a job of several: a child (`cli.child`) of the supervisor."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from cli.child_life import begin, end_after
from cli.failures import ENVIRONMENT
from dataflows.cluster import Answered, Counted, News, Part, Refused, run_part
from dataflows.progress import Progress
from dataflows.questions import Relay

# What the supervisor says beside questions: end in good order.
STOP = "stop"

# Seconds between two times at which it is told how far this process has come.
_TOLD_EVERY = 1.0


class Line:
    """The socket to the supervisor."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self.progress = Progress()
        self.questions = Relay(lambda answers: self.tell(Answered(answers)))

    def receive(self) -> Part:
        part: Part = self._connection.recv()
        for work in (self._listen, self._report):
            threading.Thread(target=work, daemon=True).start()
        return part

    def tell(self, news: News) -> None:
        try:
            with self._lock:
                self._connection.send(news)
        except OSError:
            os._exit(ENVIRONMENT)

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while (said := self._connection.recv()) != STOP:
                self.questions.hand(said)
            self.stop.set()

    def _report(self) -> None:
        while True:
            time.sleep(_TOLD_EVERY)
            self.tell_progress()

    def tell_progress(self) -> None:
        self.tell(Counted(self.progress))


def main() -> None:
    """Usage: python -m cli.child worker SOCKET STDERR, both descriptors that are inherited."""
    line = Line(begin())

    def work() -> None:
        run_part(line.receive(), line.tell, line.progress, line.questions, line.stop)
        line.tell_progress()

    end_after(work, lambda sentence: line.tell(Refused(sentence)))


if __name__ == "__main__":
    main()
