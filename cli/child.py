"""A child process of a job, `python -m cli.child KIND SOCKET …`, started by nobody else.

What it has to do comes over a socket that it inherits, and what comes of it goes back.  The socket
is its life line: when the other side is gone, so is the process, wherever it is stuck.  That begins
before anything is imported that takes its time, or a job that dies as it starts would leave behind
processes that are still starting, and keep the next one waiting.
"""

from __future__ import annotations

import os
import runpy
import select
import sys
import threading

# As `cli.failures.ENVIRONMENT`, which it takes a while to import.
_ENVIRONMENT = 3


def hold(socket: int) -> None:
    """From now on, end this process as soon as the socket's other side is closed."""
    poll = select.poll()
    poll.register(socket, 0)  # which tells of nothing but the end

    def end() -> None:
        poll.poll()
        os._exit(_ENVIRONMENT)

    threading.Thread(target=end, name="usher-life-line", daemon=True).start()


if __name__ == "__main__":
    module = f"cli.{sys.argv.pop(1)}"
    hold(int(sys.argv[1]))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
