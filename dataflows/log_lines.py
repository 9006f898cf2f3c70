"""A line of the log: a sentence for people, or a JSON object for what collects logs.

Which of them, an environment variable says, as all processes of a job inherit it.
"""

from __future__ import annotations

import os
import time

import msgspec

from audience_dsl.instants import format_instant

_VARIABLE = "USHER_LOG_FORMAT"


def log_json() -> None:
    """From now on lines are JSON, those of processes that are started as well."""
    os.environ[_VARIABLE] = "json"


def log_line(sentence: str) -> str:
    if os.environ.get(_VARIABLE) != "json":
        return f"usher: {sentence}\n"
    at = format_instant(time.time_ns() // 1_000)
    facts = {"at": at, "process": os.getpid(), "message": sentence}
    return msgspec.json.encode(facts).decode() + "\n"
