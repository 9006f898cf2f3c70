"""When a source that has given all that it had is asked again, whatever becomes of the wall clock.

Bytewax can be told an instant at which to ask again.  It then waits until the wall clock has come
to it: for a day, where somebody sets the clock back by a day, and deaf to all else.  So it is told
not to wait, and the source itself lets the time pass.

The other steps of the flow take turns with the source on its thread.  So it pauses for a little at
a time, and not at all while the others pass on what it has delivered last.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

# What Bytewax is told: an instant that has passed on every clock.
AT_ONCE = datetime.fromtimestamp(0, UTC)

# Seconds.  An event that came alone costs as much as hundreds that came together: without a pause
# a steady trickle keeps the job half as busy again.
_BETWEEN_POLLS = 0.04
_PAUSE = 0.002

# At least as many as the flow has steps.
_TURNS = 16


class Pauses:
    """The pauses of one source; none is longer than it takes to notice `stop`."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._next_poll = 0.0
        self._turns = 0

    def polled(self, *, has_all: bool, delivered: bool) -> None:
        """Take note of a poll: whether there is no more for now, and whether others were told."""
        self._next_poll = time.monotonic() + _BETWEEN_POLLS if has_all else 0.0
        if delivered:
            self._turns = _TURNS

    def go_on(self) -> bool:
        """Whether it is too early for a poll; pauses if nobody else has anything to do."""
        if time.monotonic() >= self._next_poll or self._stop.is_set():
            return False
        if self._turns:
            self._turns -= 1
            return True
        return not self._stop.wait(_PAUSE)
