"""Arrays on disk, mapped into memory: their pages are read when they are touched."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

# Numpy reads the header of a file with `ast.literal_eval`.  Until 3.11.7 Python fails now and then
# where two threads do that at once (gh-106905).
_READING = threading.Lock()


def mapped(path: Path) -> Any:
    """A read-only array over the file's pages; an ordinary array, as kernels expect.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no array.
    """
    with _READING:
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
