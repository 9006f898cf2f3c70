"""How a process that works through millions of events treats its memory.

Events come in chunks of some megabytes, and most of what is made of a chunk is given back with it,
hundreds of times a second.  Left to themselves, the allocator returns it to the system each time,
which clears it before it gives it out again, and Python searches it for cycles of references, and
all else that there is as well.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library

# The parameters of glibc's mallopt (malloc.h): how much may lie idle at the heap's end before it
# is returned, and from which size on an array is a mapping of its own.
_M_TRIM_THRESHOLD, _IDLE = -1, 128 << 20
_M_MMAP_THRESHOLD, _OWN = -3, 32 << 20

# So many objects more than were given back; so many such searches before what they have left is
# searched; and so many of these before everything is.  Python's own are 700, 10 and 10.
_SEARCHED_AFTER = 20_000, 10, 50


def keep_freed_memory() -> None:
    """Let the process use again what it has given back; where glibc is not, nothing happens."""
    mallopt = getattr(ctypes.CDLL(find_library("c")), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _IDLE)
        mallopt(_M_MMAP_THRESHOLD, _OWN)


@contextmanager
def rare_cycle_search() -> Iterator[None]:
    """Do not let all threads wait, a tenth of a second each time, for a search that finds little.

    What there is now is not searched as long as this lasts.
    """
    were = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_SEARCHED_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*were)
        gc.unfreeze()


@contextmanager
def without_cycle_search() -> Iterator[None]:
    """Millions of short-lived records make no cycles, but Python would keep looking for some."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
