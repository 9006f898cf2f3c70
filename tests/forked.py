"""`usher` in processes that begin at once: forked from one that has loaded the product.

Each is a process as any other, with descriptors, surroundings and signals of its own.  All that it
is spared is to import the product, which takes a second of a core, for some hundred jobs.  How the
command itself begins is tested where it is run as users run it (`tests/docs`, `tests/examples`).
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.warm"])


def _nothing() -> None:
    """Nothing is to be done before it begins."""


class Forked:
    """`usher` with these words; as much of `subprocess.Popen` as tests need.

    `prepare` is called in the process before it begins.  `stdin` is a pipe or nothing.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        stdout: IO[bytes],
        stderr: IO[bytes],
        cwd: Path | None = None,
        env: Mapping[str, str] = os.environ,
        with_stdin: bool = False,
        prepare: Callable[[], None] = _nothing,
    ) -> None:
        self.stdin: IO[bytes] | None = None
        if with_stdin:
            read, write = os.pipe()
            self.stdin = os.fdopen(write, "wb")
        else:
            read = os.open(os.devnull, os.O_RDONLY)
        streams = [_Descriptor(one) for one in (read, stdout.fileno(), stderr.fileno())]
        surroundings = (str(cwd or Path.cwd()), dict(env))
        self._words = words
        self._process = _PROCESSES.Process(
            target=_run, args=(list(words), streams, surroundings, prepare), daemon=True
        )
        self._process.start()
        os.close(read)
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(list(self._words), timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Descriptor:
    """An open file that is handed over with the arguments of a process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __getstate__(self) -> Any:
        return DupFd(self.number)

    def __setstate__(self, state: Any) -> None:
        self.number = state.detach()


def _run(
    words: list[str],
    streams: list[_Descriptor],
    surroundings: tuple[str, dict[str, str]],
    prepare: Callable[[], None],
) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream.number, number)
        os.close(stream.number)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    folder, environment = surroundings
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    faulthandler.enable()
    prepare()
    from cli.main import main

    sys.argv = ["usher", *words]
    main()
