"""One process of a job of several: a child (`cli.child`) of the supervisor.

Signals are the supervisor's business; those that reach a whole group of processes are not heard
here.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from cli.failures import ENVIRONMENT, FAILURES, sentence_of
from dataflows.cluster import Answered, Counted, News, Part, Refused, run_part
from dataflows.progress import Progress
from dataflows.questions import Relay

_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)

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
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    # Sentences go where the supervisor's go; what nobody has foreseen goes into a file.
    sys.stderr = os.fdopen(int(sys.argv[2]), "w", buffering=1)
    line = Line(Connection(int(sys.argv[1])))
    try:
        run_part(line.receive(), line.tell, line.progress, line.questions, line.stop)
        line.tell_progress()
    except FAILURES as error:
        line.tell(Refused(sentence_of(error)))
        code = ENVIRONMENT
    except BaseException:  # noqa: BLE001  into the file of last words; the supervisor says where
        os.write(2, traceback.format_exc().encode())
        code = 1
    else:
        code = 0
    os._exit(code)


if __name__ == "__main__":
    main()
