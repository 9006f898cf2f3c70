"""How the threads of a job share Python's interpreter.

Bytewax's workers are threads that Python has not started.  Whenever one of them enters Python, for
a single item perhaps, Python makes all anew that it has to know of a thread, with memory from the
system for its calls, and gives it back when the thread leaves again.  That cost more than a third
of a job's work.  A thread that has entered once more than it leaves keeps it.

A thread that waits for the disk gives the interpreter away, and has it back when whoever computes
has had a turn of 5 ms.  To make an epoch durable means to wait hundreds of times: beside threads
that print and deliver what a snapshot moves, that took most of a second, and all events waited.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds.  Turns that are shorter still cost more than they give.
_TURN = 0.001

_kept = threading.local()


def keep_thread_state() -> None:
    """Let the thread that calls keep its state; a few kilobytes, which outlive it."""
    if not hasattr(_kept, "is_kept"):
        ctypes.pythonapi.PyGILState_Ensure()
        _kept.is_kept = True


@contextmanager
def short_turns() -> Iterator[None]:
    """Let no thread that computes keep the interpreter for long from those that wait for it."""
    was = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(was)
