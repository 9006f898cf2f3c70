"""Files of lines that several may append to at once, and that hold whole lines after any crash.

A file is opened for each append and locked meanwhile, so it may be moved away or removed between
two.  Lines that could not be brought to the disk are taken back, and what a crash has cut off is
removed: whoever was told that a line is safe finds it, and nobody finds half of one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from connectors.durability import make_durable

_BLOCK = 1 << 16


def append(path: Path, lines: bytes, most: int | None = None) -> bool:
    """Append whole lines, and return when they are on the disk.

    Returns `False`, and does nothing, if the file would have more than `most` bytes; an empty one
    takes any lines.

    Raises:
        OSError: the file cannot be written.
    """
    with locked(path) as file:
        return extend(file, path, lines, most)


def extend(file: int, path: Path, lines: bytes, most: int | None = None) -> bool:
    """The same for a file that is locked already."""
    size = whole(file)
    if most is not None and size and size + len(lines) > most:
        return False
    try:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise
    if not size:
        make_durable(path.parent)
    return True


@contextmanager
def locked(path: Path, *, create: bool = True) -> Iterator[int]:
    """The descriptor of the file that is at a path, which nobody else has locked.

    Its folder is made where it is missing.

    Raises:
        FileNotFoundError: there is none, and none is to be made.
        OSError: it cannot be opened, or is no ordinary file.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_CREAT if create else 0)
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(path, flags, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.EINVAL, "not an ordinary file", str(path))
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):  # it may have been moved while the lock was waited for
                yield file
                return
        finally:
            os.close(file)


def whole(file: int) -> int:
    """Remove a line that was cut off at the end; return how long the file is then."""
    size = end = os.fstat(file).st_size
    while end:
        start = max(0, end - _BLOCK)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
    return end


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
