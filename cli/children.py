"""Starts the child processes of a job (`cli.child`), each with a socket between it and the job."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO, Any

_STDERR = 2


def start_child(
    kind: str, task: object, last_words: IO[bytes], *descriptors: int, stdin: int | None = None
) -> tuple[subprocess.Popen[bytes], Connection[Any, Any]]:
    """Start a child and tell it what it has to do.

    Its arguments are descriptors that it inherits: its socket, our standard error for its
    sentences, and those given.

    Args:
        kind: The module of `cli` that it is.
        last_words: For what it says when it dies of something that nobody has foreseen.
        stdin: As for `subprocess.Popen`.
    """
    connection, theirs = Pipe()
    with theirs, os.fdopen(os.dup(_STDERR), "w") as sentences:
        inherited = theirs.fileno(), sentences.fileno(), *descriptors
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "cli.child", kind, *map(str, inherited)],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=last_words,
            pass_fds=inherited,
        )
    with suppress(OSError):  # it has died already, as will be seen
        connection.send(task)
    return process, connection


def said_last(last_words: IO[bytes], since: int = 0) -> str:
    """The last line of those words, empty if there are none."""
    last_words.seek(since)
    lines = last_words.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
