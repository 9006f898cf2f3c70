"""What is done to a job from inside its own process, before the product is started in it.

The product has no hooks for this: what it asks of the operating system is put in other words here.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path


@dataclass(frozen=True)
class Harm:
    """By default, none.

    Args:
        clock: Microseconds that the wall clock is ahead.
        kill_at: The process kills itself when it has asked so many times for something to be made
            durable, the last time in vain.
        ledger: Where is written down what was made durable: a path and a size a line.
        file_limit: Bytes beyond which no file grows, as on a full disk.
    """

    clock: int = 0
    kill_at: int | None = None
    ledger: Path | None = None
    file_limit: int | None = None

    def inflict(self) -> None:
        if self.clock:
            real, ahead = time.time_ns, self.clock * 1_000
            time.time_ns = lambda: real() + ahead
        if self.file_limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_limit, hard))
        syncs = count(1)  # in whatever thread

        def watched(sync: Callable[[int], None]) -> Callable[[int], None]:
            def watching(descriptor: int) -> None:
                if next(syncs) == self.kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                size = os.fstat(descriptor).st_size
                sync(descriptor)
                if self.ledger is not None:
                    path = Path(f"/proc/self/fd/{descriptor}").readlink()
                    with self.ledger.open("a") as ledger:
                        ledger.write(f"{size} {path}\n")

            return watching

        os.fsync = watched(os.fsync)  # type: ignore[assignment]
        os.fdatasync = watched(os.fdatasync)  # type: ignore[assignment]


UNHARMED = Harm()
