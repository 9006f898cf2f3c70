"""Results: what was measured, what it should be, on which machine, and how it is shown."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Result:
    """One measurement; it passes at or below its target, and always where there is none."""

    name: str
    value: float
    unit: str
    target: float | None = None

    @property
    def passed(self) -> bool:
        return self.target is None or self.value <= self.target


def show(results: Sequence[Result], *, judged: bool) -> None:
    """Print the table; without `judged` the targets are left out, for runs too small for them."""
    table = Table(title=None if judged else "too small a run to be judged")
    table.add_column("measurement")
    for column in ("result", "target", ""):
        table.add_column(column, justify="right")
    for result in results:
        target, verdict = "", ""
        if judged and result.target is not None:
            target = f"≤ {result.target:g} {result.unit}"
            verdict = "[green]pass[/]" if result.passed else "[red]FAIL[/]"
        table.add_row(result.name, f"{result.value:.3g} {result.unit}", target, verdict)
    Console(width=None if os.isatty(1) else 110).print(table)


def write(results: Sequence[Result]) -> Path:
    """Write the results and the machine's facts to a file named after the commit; return it."""
    commit = _output("git", "rev-parse", "--short", "HEAD") or "unknown"
    document = {
        "commit": commit,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "load_average": os.getloadavg()[0],
            **{name: version(name) for name in ("bytewax", "duckdb", "msgspec", "numba", "numpy")},
        },
        "results": [asdict(result) | {"passed": result.passed} for result in results],
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{commit}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return path


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    names = facts.read_text().splitlines() if facts.exists() else []
    named = [line.partition(":")[2].strip() for line in names if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
