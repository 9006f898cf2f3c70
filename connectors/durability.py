"""What outlives a loss of power.

Files that are written are in memory first, and so are their names: a file that is new, moved or
removed is so for certain only once its folder has been made durable as well.
"""

from __future__ import annotations

import os
from pathlib import Path


def make_durable(path: Path) -> None:
    """Wait until the disk has what was written to a file, or the names in a folder.

    Raises:
        OSError: it does not take them; the error names the path.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)
