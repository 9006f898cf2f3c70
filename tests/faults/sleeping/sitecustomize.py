"""Lets a process by libfaketime's clock sleep.

CPython sleeps until an instant of the monotonic clock, which libfaketime 0.9.10 takes for one of
the wall clock that it shows: every sleep fails with EINVAL.  A lock with a timeout is waited for by
a call that libfaketime leaves alone.
"""

import threading
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex) -> None:
    threading.Event().wait(float(seconds))


time.sleep = _sleep
