"""Printing: every transition as a line, for whoever looks at the job.

In a thread of its own, so that somebody who does not read holds up nobody else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from engine.records import TransitionRecord
from membership.errors import StoreError
from membership.reader import PAGE
from membership.tail import JournalTail

# Seconds between two looks at whether it is to end, if nobody says so.
_LOOK = 1.0

# Seconds of rest after a full page: nobody reads that fast, and the job has the same interpreter.
_REST = 0.01


class Printing:
    """Prints what follows a position, until it is ended.

    Everything up to `printed` is; `failure` is why it has ended by itself, if it has.

    Args:
        moved: Told whenever lines were printed, and of a failure.
    """

    def __init__(
        self,
        line: Callable[[TransitionRecord], str],
        show: Callable[[Sequence[str]], None],
        tail: JournalTail,
        moved: Callable[[], None],
    ) -> None:
        self.printed = tail.end
        self.failure: OSError | StoreError | None = None
        self._line = line
        self._show = show
        self._tail = tail
        self._moved = moved
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="usher-output", daemon=True)
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Stop, and wait for that so long."""
        self._ended = True
        self._tail.rouse()
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._ended:
                self._tail.wait(self.printed, lambda: self._ended, _LOOK)
                self._print()
        except (OSError, StoreError) as error:
            self.failure = error
            self._moved()

    def _print(self) -> None:
        while not self._ended and self._tail.end > self.printed:
            found = self._tail.after(self.printed)
            if not found.entries:
                return
            self._show([self._line(entry.record) for entry in found.entries])
            self.printed = found.position
            self._moved()
            if len(found.entries) >= PAGE:
                time.sleep(_REST)
