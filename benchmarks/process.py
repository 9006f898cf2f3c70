"""Running Usher as a user would, in a process of its own, and what the process cost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

USHER = Path(sys.executable).with_name("usher")


@dataclass(frozen=True)
class Cost:
    """CPU seconds (user and system, all threads and children) and the peak of resident memory."""

    cpu: float
    peak_bytes: int


class Failed(Exception):
    """A measured command ended with an error; the text is what it said."""


def cost_of(*arguments: str | Path) -> Cost:
    """Run `usher` with those arguments to its end.

    Raises:
        Failed: it ended with another exit code than 0.
    """
    return cost_of_command([str(USHER), *map(str, arguments)])


def cost_of_command(command: Sequence[str]) -> Cost:
    """The same of any command.

    Raises:
        Failed: it ended with another exit code than 0.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    said = process.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {process.returncode}:\n{said[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def cpu_seconds(pid: int) -> float:
    """What a running process has used so far, by Linux's count of clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
