"""Live jobs as real processes: watched and stopped as a user would."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar

from tests.forked import Forked

ROOT = Path(__file__).parents[2]
USHER = str(Path(sys.executable).with_name("usher"))

# Long enough for the slowest machine: a test that waits for it has failed already.
PATIENCE = 120.0

_X = TypeVar("_X")


def eventually(ask: Callable[[], _X], of: Job | None = None) -> _X:
    """The first answer that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := _asked(ask)):
        assert of is None or of.process.poll() is None, of.errors()
        assert time.monotonic() < deadline, of.errors() if of else "waited in vain"
    return answer


def _asked(ask: Callable[[], _X]) -> _X:
    """The answer; where there is none yet, after a pause that leaves the processor to others."""
    began = time.monotonic()
    if not (answer := ask()):
        time.sleep(max(0.02, 4 * (time.monotonic() - began)))
    return answer


def now(offset: float = 0.0) -> str:
    return datetime.fromtimestamp(time.time() + offset, UTC).isoformat()


class Job:
    """A running job; what it prints is kept in files beside the project."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked, out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def server(self) -> int:
        """The process that answers for it."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        children = [
            one for task in tasks.iterdir() for one in (task / "children").read_text().split()
        ]
        (found,) = [
            int(one) for one in children if b"hosted" in Path(f"/proc/{one}/cmdline").read_bytes()
        ]
        return found

    def errors(self) -> str:
        return self._err.read_text()

    def lines(self) -> list[str]:
        """The whole lines that it has printed."""
        return [one[:-1] for one in self._out.read_text().splitlines(True) if one.endswith("\n")]

    def transitions(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]

    def told(self) -> list[tuple[str, str, str, str]]:
        """User, type, audience and kind of cause of each transition."""
        return [told(one) for one in self.transitions()]

    def await_told(self, *wanted: tuple[str, str, str, str]) -> None:
        eventually(lambda: set(wanted) <= set(self.told()), self)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit code; one that does not end says what each of its threads does."""
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"it does not stop:\n{self.errors()}") from None


def parts(root: Path) -> list[str]:
    """Without a server where the project says nothing of one: it takes a second to start."""
    definitions = "".join(one.read_text() for one in root.glob("*.yml"))
    has_server = re.search(r"\bserving\b|\bhttp\b", definitions)
    return [] if has_server else ["--only", "evaluate,deliver,pull"]


def told(one: dict[str, Any]) -> tuple[str, str, str, str]:
    return one["user_id"], one["type"], one["audience"], one["cause"]["kind"]


@contextmanager
def job(
    root: Path, *arguments: str, words: Sequence[str] = (), command: Sequence[str] = ()
) -> Iterator[Job]:
    """`usher run` on a project; killed at the end if it still runs.

    Or `usher` with other words, or another command.
    """
    number = len(list(root.parent.glob("*.err")))
    out, err = root.parent / f"{number}.out", root.parent / f"{number}.err"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}
    process: subprocess.Popen[bytes] | Forked
    with out.open("wb") as stdout, err.open("wb") as stderr:
        if command:
            process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                cwd=root.parent,
                env=env,
            )
        else:
            only = [] if "--only" in arguments else parts(root)
            words = words or ("run", "--format", "json", *only, *arguments)
            process = Forked(
                ["-C", str(root), *words],
                with_stdin=True,
                stdout=stdout,
                stderr=stderr,
                cwd=root.parent,
                env=env,
            )
    try:
        yield Job(process, out, err)
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


@contextmanager
def running(
    root: Path, *arguments: str, words: Sequence[str] = (), command: Sequence[str] = ()
) -> Iterator[Job]:
    """The same, once it has begun: whatever is received from now on is not history."""
    with job(root, *arguments, words=words, command=command) as one:
        eventually(lambda: "usher: running" in one.errors(), one)
        yield one


def ended(root: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """What a verb on a project has said, in a process of its own, that ends with this code."""
    with TemporaryFile() as out, TemporaryFile() as err:
        process = Forked(["-C", str(root), *words], stdout=out, stderr=err)
        found = process.wait(PATIENCE)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    done = subprocess.CompletedProcess(words, found, *texts)
    assert found == code, done
    return done


def finished(root: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of a job that is expected to end by itself, and what it said."""
    with job(root, *arguments) as one:
        one.stdin.close()
        return one.process.wait(PATIENCE), one.errors()
