"""Jobs that may be harmed, as processes that begin at once."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.jobs import PATIENCE, eventually, parts
from tests.faults.harm import UNHARMED, Harm
from tests.forked import Forked


class Process:
    """`usher run` on a project."""

    def __init__(self, process: Forked, out: Path, err: Path) -> None:
        self._process = process
        self.out = out
        self.err = err

    @property
    def id(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

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
        self._process.wait(PATIENCE)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.terminate()
        return self.end()

    def end(self) -> int:
        """Wait for its end; the exit code."""
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.said()) from None


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


def started(
    verb: str, root: Path, *arguments: str, out: Path, err: Path, harm: Harm = UNHARMED
) -> Forked:
    """A verb on a project, whose facts it prints to `out` as JSON."""
    words = ["-C", str(root), verb, "--format", "json", *arguments]
    with out.open("ab") as stdout, err.open("ab") as stderr:
        return Forked(words, stdout=stdout, stderr=stderr, prepare=harm.inflict)
