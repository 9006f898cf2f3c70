"""How much more a job reads with more workers: the CPU time of the busiest of them.

Wall time says little on a machine whose cores have other work.  But no job is faster than the
process that has the most to do, so that one's CPU time decides how many events a second are
possible when every worker has a core.  A job is started on few events and on many; what it takes
for the difference is its work, and not what it takes to start.

    python -m benchmarks.cluster
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.process import USHER
from benchmarks.workload import Workload, workload

FEW, MANY = 150_000, 900_000
WORKERS = (1, 2, 3)

# As many as can be divided evenly: a source that is no topic is read by one worker.
_SOURCES = 6

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Event(msgspec.Struct, rename="camel"):
    user_id: str


@dataclass(frozen=True)
class Costs:
    """Of each process CPU seconds for all events, and resident bytes after them.

    `wall` seconds have passed since they met.
    """

    wall: float
    cpu: list[float]
    resident: list[int]


def main() -> None:
    recordings = [workload(events) for events in (FEW, MANY)]
    alone = alone_wall = 0.0
    for workers in WORKERS:
        few, many = [measure(recording, workers) for recording in recordings]
        cpu = [more - less for more, less in zip(many.cpu, few.cpu, strict=True)]
        alone = alone or max(cpu)
        wall = many.wall - few.wall
        alone_wall = alone_wall or wall
        sys.stdout.write(
            f"{workers} workers: {alone / max(cpu):.2f} × the events of one, "
            f"{alone_wall / wall:.2f} × by the wall clock ({wall:.2f} s); CPU "
            f"{', '.join(f'{one:.2f}' for one in cpu)} s (for {FEW:,} and the start, "
            f"{', '.join(f'{one:.2f}' for one in few.cpu)}); resident "
            f"{', '.join(f'{one >> 20}' for one in many.resident)} MB\n"
        )
        sys.stdout.flush()


def measure(recording: Workload, workers: int) -> Costs:
    with tempfile.TemporaryDirectory() as folder:
        return _measured(recording, workers, Path(folder))


def _measured(recording: Workload, workers: int, folder: Path) -> Costs:
    project = folder / "project"
    project.mkdir()
    (project / "usher.yml").write_text(json.dumps(_definition(recording)))
    _divide(recording, project)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        job = subprocess.Popen(
            [USHER, "-C", project, "run", "--workers", str(workers)], stdout=out, stderr=err
        )
    try:
        met = project / ".usher" / "cluster"
        _await(lambda: "running" in (folder / "err").read_text(), job)
        _await(lambda: workers == 1 or len(list(met.glob("*/begin/*"))) == workers, job)
        met_at = time.monotonic()
        processes = [job.pid] if workers == 1 else _children(job.pid)
        # When all was read and evaluated, the snapshot takes force and people enter.
        _await(lambda: (folder / "out").stat().st_size > 0, job)
        wall = time.monotonic() - met_at
        cpu = [_cpu(one) for one in processes]
        return Costs(wall, cpu, [_resident(one) for one in processes])
    finally:
        job.send_signal(signal.SIGTERM)
        job.wait(60)


def _definition(recording: Workload) -> dict[str, Any]:
    """Two audiences with three conditions for each source, and one that needs no event."""
    events: dict[str, Any] = {}
    wheres: dict[str, Any] = {"germans": {"property": "country", "equals": "DE"}}
    for number in range(_SOURCES):
        types = {"viewed": "page", "added": "Product Added", "ordered": "Order Completed"}
        for name, kind in types.items():
            events[f"{name}_{number}"] = {
                "source": f"web_{number}",
                "type": kind,
                "parent_model": "users",
                "properties": {"path": "properties.path"},
            }
        pricing = {"where": {"path": "/pricing"}, "at_least": 3, "within": "10m"}
        wheres[f"pricing_{number}"] = {"performed": f"viewed_{number}", **pricing}
        wheres[f"left_cart_{number}"] = {
            "all": [
                {"performed": f"added_{number}", "at_least": 3, "within": "1h"},
                {"did_not_perform": f"ordered_{number}", "within": "30m"},
            ]
        }
    users = {
        "from": {"parquet": str(recording.users)},
        "primary_key": "user_id",
        "properties": {"country": "string"},
    }
    return {
        "project": "benchmark_cluster",
        "warehouse": {"type": "duckdb"},
        "sources": {
            f"web_{number}": {"type": "file", "format": "segment", "path": f"{number}.jsonl"}
            for number in range(_SOURCES)
        },
        "parent_models": {"users": users},
        "events": events,
        "audiences": {
            key: {"parent_model": "users", "where": where} for key, where in wheres.items()
        },
    }


def _divide(recording: Workload, folder: Path) -> None:
    """A file for each source, each with the events of users of its own."""
    decode = msgspec.json.Decoder(_Event).decode
    files = [(folder / f"{number}.jsonl").open("wb") for number in range(_SOURCES)]
    for block in recording.blocks():
        for line in block:
            files[int(decode(line).user_id[1:]) % _SOURCES].write(line)
    for file in files:
        file.close()


def _await(condition: Callable[[], bool], job: subprocess.Popen[bytes]) -> None:
    while not condition():
        if job.poll() is not None:
            raise SystemExit(f"the job ended with {job.returncode}")
        time.sleep(0.02)


def _children(parent: int) -> list[int]:
    done = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=True)
    return [int(one) for one in done.stdout.split()]


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE


if __name__ == "__main__":
    main()
