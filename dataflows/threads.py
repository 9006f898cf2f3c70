"""What Python knows of a thread, kept as long as the thread lives.

Bytewax's workers are threads that Python has not started.  Whenever one of them enters Python, for
a single item perhaps, Python makes all anew that it has to know of a thread, with memory from the
system for its calls, and gives it back when the thread leaves again.  That cost more than a third
of a job's work.  A thread that has entered once more than it leaves keeps it.
"""

from __future__ import annotations

import ctypes
import threading

_kept = threading.local()


def keep_thread_state() -> None:
    """Let the thread that calls keep its state; a few kilobytes, which outlive it."""
    if not hasattr(_kept, "is_kept"):
        ctypes.pythonapi.PyGILState_Ensure()
        _kept.is_kept = True
