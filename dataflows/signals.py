"""What a job does on a signal, done by a thread.

Python runs a signal's handler in the middle of whatever its main thread does.  That may be waiting
for the very event which the handler sets, with the event's lock held: then nobody ever gives it
back, and the job neither goes on nor ends.  So a handler here only leaves word in a queue that is
made for this, and a thread does what has to be done.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue


@contextmanager
def handled(actions: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Do the actions on their signals, one at a time; to be entered by the main thread."""
    told: SimpleQueue[signal.Signals | None] = SimpleQueue()

    def act() -> None:
        while (number := told.get()) is not None:
            actions[number]()

    thread = threading.Thread(target=act, name="usher-signals", daemon=True)
    thread.start()
    previous = {
        number: signal.signal(number, lambda number, _frame: told.put(signal.Signals(number)))
        for number in actions
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        told.put(None)
        thread.join()
