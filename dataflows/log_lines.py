"""A line of the log: a sentence for people, or a JSON object for what collects logs.

Which of them, an environment variable says, as all processes of a job inherit it.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from audience_dsl.instants import format_instant
from connectors.discretion import fault
from connectors.sentences import Alarm, level_of
from connectors.wall_clock import wall_clock

_VARIABLE = "USHER_LOG_FORMAT"


def log_json() -> None:
    """From now on lines are JSON, those of processes that are started as well."""
    os.environ[_VARIABLE] = "json"
    log_faults()


def logs_json() -> bool:
    return os.environ.get(_VARIABLE) == "json"


def log_faults() -> None:
    """Where lines are JSON, what nobody has foreseen becomes one as well."""
    if logs_json():
        sys.excepthook = lambda _kind, error, _traceback: _tell_fault(error)
        threading.excepthook = lambda raised: _tell_fault(raised.exc_value)


def log_line(sentence: str) -> str:
    """The line, whose level is that of the sentence (`connectors.sentences`)."""
    if not logs_json():
        return f"usher: {sentence}\n"
    facts = {
        "at": format_instant(wall_clock()),
        "process": os.getpid(),
        "level": level_of(sentence),
        "message": str(sentence),
    }
    return msgspec.json.encode(facts).decode() + "\n"


def tell(sentence: str) -> None:
    """Say something to whoever looks after the job."""
    sys.stderr.write(log_line(sentence))
    sys.stderr.flush()


def _tell_fault(error: BaseException | None) -> None:
    if error is not None:
        tell(Alarm(f"a fault of ours: {fault(error)}"))
