"""How child processes of a job (`cli.child`) begin and end.

Signals are the job's business; those that reach a whole group of processes are not heard here.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from cli.failures import ENVIRONMENT, FAILURES, sentence_of
from connectors.discretion import fault
from dataflows.log_lines import log_faults

_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)

_STDERR = 2


def begin() -> Connection[Any, Any]:
    """The socket to the job, whose standard error our sentences go to from now on.

    What nobody has foreseen goes to this process's own, which is a file of last words.
    """
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    sys.stderr = os.fdopen(int(sys.argv[2]), "w", buffering=1)
    log_faults()
    return Connection(int(sys.argv[1]))


def end_after(work: Callable[[], None], refuse: Callable[[str], None]) -> NoReturn:
    """Work, and end the process; `refuse` is told the sentence about what is wrong around us."""
    try:
        work()
    except FAILURES as error:
        refuse(sentence_of(error))
        code = ENVIRONMENT
    except BaseException as error:  # noqa: BLE001  into the last words, which the job points to
        # The job repeats the last line of them, which is not to be the error's own.
        os.write(_STDERR, f"{traceback.format_exc()}\n{fault(error)}\n".encode())
        code = 1
    else:
        code = 0
    os._exit(code)
