"""What a job does on a signal, done by a thread.

Python runs a signal's handler in its main thread, in the middle of whatever that does, and only
once that comes back to Python.  Both have made jobs hang.  A main thread that waits for the very
event which the handler sets holds the event's lock: nobody ever gives it back.  And one that waits
without end does not learn of a signal that the system has given to another thread, or that came
just before it began to wait.  So the main thread has no part in it: whichever thread is
interrupted writes the signal's number to a socket at once, and a thread that reads there does what
has to be done.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(actions: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Do the actions on their signals, one at a time; to be entered by the main thread."""
    told, telling = socket.socketpair()
    telling.setblocking(False)  # or `set_wakeup_fd` refuses it

    def act() -> None:
        while numbers := told.recv(64):
            for number in numbers:
                if number in actions:
                    actions[signal.Signals(number)]()

    thread = threading.Thread(target=act, name="usher-signals", daemon=True)
    thread.start()
    previous_descriptor = signal.set_wakeup_fd(telling.fileno())
    previous = {number: signal.signal(number, _nothing) for number in actions}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_descriptor)
        telling.close()  # what has been written is read and done
        thread.join()
        told.close()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A signal without a handler in Python would not be written to the socket."""
