"""Whole backtests: JSON lines in, transitions out, by the command that users run.

What counts is the CPU time of the process, all threads included, less that of the same command on
a recording of one line and a warehouse of one user: what remains is reading, decoding, matching,
the warehouse pull, evaluation and writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq  # type: ignore[import-untyped]

from benchmarks.process import Cost, cost_of
from benchmarks.suites import SUITES, write_project
from benchmarks.workload import CACHE, Workload
from benchmarks.yardstick import decoding


@dataclass(frozen=True)
class Backtests:
    """Medians over the rounds, by suite; all in seconds of CPU but the transitions."""

    yardstick: float
    seconds: dict[str, float]
    transitions: dict[str, int]


def backtests(recording: Workload, rounds: int) -> Backtests:
    """Measure the suites and the yardstick in turns, so that a busy moment meets all of them."""
    least = {suite: _least(suite, recording) for suite in SUITES}
    yardsticks: list[float] = []
    spent: dict[str, list[float]] = {suite: [] for suite in SUITES}
    transitions: dict[str, int] = {}
    for _ in range(rounds):
        yardsticks.append(decoding(recording))
        for suite in SUITES:
            output = CACHE / f"{suite}.jsonl"
            project = _project(suite, recording.users)
            spent[suite].append(_backtest(project, recording.events, output).cpu - least[suite])
            with output.open("rb") as lines:
                transitions[suite] = sum(1 for _ in lines)
            output.unlink()
    return Backtests(
        yardstick=median(yardsticks),
        seconds={suite: median(values) for suite, values in spent.items()},
        transitions=transitions,
    )


def peak_bytes(recording: Workload) -> int:
    """Peak resident memory of the backtest of five audiences."""
    output = CACHE / "peak.jsonl"
    cost = _backtest(_project("five", recording.users), recording.events, output)
    output.unlink()
    return cost.peak_bytes


def _backtest(project: Path, events: Path, output: Path) -> Cost:
    return cost_of("-C", project, "backtest", "--events", events, "--output", output)


def _project(suite: str, users: Path) -> Path:
    return write_project(suite, CACHE / "projects" / suite, users, "nothing.jsonl")


def _least(suite: str, recording: Workload) -> float:
    """CPU seconds of a backtest of next to nothing: the second of two, as the first may compile."""
    folder = CACHE / "projects" / f"{suite}-start"
    project = write_project(suite, folder, folder / "users.parquet", "nothing.jsonl")
    pq.write_table(pq.read_table(recording.users).slice(0, 1), folder / "users.parquet")
    line = folder / "line.jsonl"
    with recording.events.open("rb") as events:
        line.write_bytes(events.readline())
    _backtest(project, line, folder / "out.jsonl")
    return median(_backtest(project, line, folder / "out.jsonl").cpu for _ in range(3))
