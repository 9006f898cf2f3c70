"""How much more a job reads with more workers: CPU time of the busiest of them, over one topic.

Wall time says little on a machine whose cores have other work.  But no cluster is faster than the
process that has the most to do, so that one's CPU time is what decides how many events a second
are possible when every worker has a core.

    python -m benchmarks.cluster BOOTSTRAP_SERVERS

It makes topics and needs a broker; it is no part of `make bench`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.process import USHER
from benchmarks.suites import write_project
from benchmarks.workload import Workload, workload

# A job is started on the fewer and on the more; what it takes for the difference is its work, and
# not what it takes to start.
FEW, MANY = 200_000, 800_000
PARTITIONS = 12
WORKERS = (1, 2, 3)

# Somebody enters it without an event.
_IN_THE_END = "germans: {parent_model: users, where: {property: country, equals: DE}}"

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Event(msgspec.Struct, rename="camel"):
    user_id: str


@dataclass(frozen=True)
class Costs:
    """Of each process CPU seconds for the whole topic, and resident bytes at its end."""

    cpu: list[float]
    resident: list[int]


def main(servers: str) -> None:
    recordings = [workload(events) for events in (FEW, MANY)]
    topics = [f"benchmark-{os.getpid()}-{one.lines}" for one in recordings]
    for recording, topic in zip(recordings, topics, strict=True):
        send(recording, servers, topic)
    alone = 0.0
    for workers in WORKERS:
        few, many = [
            measure(recording, servers, topic, workers)
            for recording, topic in zip(recordings, topics, strict=True)
        ]
        cpu = [more - less for more, less in zip(many.cpu, few.cpu, strict=True)]
        alone = alone or max(cpu)
        sys.stdout.write(
            f"{workers} workers: {alone / max(cpu):.2f} × the events of one; CPU "
            f"{', '.join(f'{one:.2f}' for one in cpu)} s (to start, "
            f"{', '.join(f'{one:.2f}' for one in few.cpu)}); resident "
            f"{', '.join(f'{one >> 20}' for one in many.resident)} MB\n"
        )
        sys.stdout.flush()


def send(recording: Workload, servers: str, topic: str) -> None:
    """The recording as a topic, keyed by user."""
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(60)
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 50})
    decode = msgspec.json.Decoder(_Event).decode
    for block in recording.blocks():
        for line in block:
            producer.produce(topic, line, decode(line).user_id)
            while len(producer) > 50_000:
                producer.poll(0.1)
    producer.flush()


def measure(recording: Workload, servers: str, topic: str, workers: int) -> Costs:
    with tempfile.TemporaryDirectory() as folder:
        return _measured(recording, servers, topic, workers, Path(folder))


def _measured(recording: Workload, servers: str, topic: str, workers: int, folder: Path) -> Costs:
    project = write_project("five", folder / "project", recording.users, "unused")
    path = project / "usher.yml"
    source = f"{{type: kafka, format: segment, topic: {topic}, bootstrap_servers: '{servers}'}}"
    settings = path.read_text()
    begin = settings.index("sources:")
    path.write_text(settings[:begin] + f"sources: {{web: {source}}}\n")
    with (project / "audiences.yml").open("a") as file:
        file.write(f"  {_IN_THE_END}\n")
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        job = subprocess.Popen(
            [USHER, "-C", project, "run", "--workers", str(workers)], stdout=out, stderr=err
        )
    try:
        cluster = project / ".usher" / "cluster"
        _await(lambda: "running" in (folder / "err").read_text(), job)
        _await(lambda: workers == 1 or len(list(cluster.glob("*/begin/*"))) == workers, job)
        processes = [job.pid] if workers == 1 else _children(job.pid)
        before = [_cpu(process) for process in processes]
        # When all that the topic has was evaluated, the snapshot takes force.
        _await(lambda: (folder / "out").stat().st_size > 0, job)
        cpu = [_cpu(process) - one for process, one in zip(processes, before, strict=True)]
        return Costs(cpu, [_resident(process) for process in processes])
    finally:
        job.send_signal(signal.SIGTERM)
        job.wait(60)


def _await(condition: object, job: subprocess.Popen[bytes]) -> None:
    assert callable(condition)
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
    main(sys.argv[1])
