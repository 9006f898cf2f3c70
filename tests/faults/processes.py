"""Jobs as real processes that start in no time: forked from one that has loaded the product."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.cli.jobs import PATIENCE, eventually, parts
from tests.faults.harm import UNHARMED, Harm

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.faults.warm"])


class Process:
    """`usher run` on a project."""

    def __init__(self, process: ForkServerProcess, out: Path, err: Path) -> None:
        self._process = process
        self.out = out
        self.err = err

    @property
    def id(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.is_alive()

    def said(self) -> str:
        return self.err.read_text()

    def await_begin(self) -> None:
        """Until a signal stops it cleanly, or it has ended."""
        eventually(lambda: not self.runs or ("usher: running" in self.said() and self._listens()))

    def _listens(self) -> bool:
        """Whether it does something about SIGTERM."""
        facts = Path(f"/proc/{self._process.pid}/status").read_text()
        caught = next(line for line in facts.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

    def kill(self) -> None:
        self._process.kill()
        self._process.join(PATIENCE)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.runs and self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGTERM)
        return self.end()

    def end(self) -> int:
        """Wait for its end; the exit code."""
        self._process.join(PATIENCE)
        assert not self.runs, self.said()
        assert self._process.exitcode is not None
        return self._process.exitcode


@contextmanager
def process(root: Path, *arguments: str, harm: Harm = UNHARMED) -> Iterator[Process]:
    """A job with other arguments than the project; killed at the end if it still runs."""
    number = len(list(root.parent.glob("*.err")))
    out, err = root.parent / f"{number}.out", root.parent / f"{number}.err"
    err.touch()
    made = started("run", root, *parts(root), *arguments, harm=harm, out=out, err=err)
    one = Process(made, out, err)
    try:
        yield one
    finally:
        one.kill()
        made.close()


def started(
    verb: str, root: Path, *arguments: str, out: Path, err: Path, harm: Harm = UNHARMED
) -> ForkServerProcess:
    """A verb on a project, whose facts it prints to `out` as JSON."""
    words = ["-C", str(root), verb, "--format", "json", *arguments]
    made = _PROCESSES.Process(target=_run, args=(words, harm, out, err), daemon=True)
    made.start()
    return made


def _run(words: list[str], harm: Harm, out: Path, err: Path) -> None:
    for path, number in (("/dev/null", 0), (out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), number)
    harm.inflict()
    from cli.main import usher

    sys.argv = ["usher"]
    usher(words)
