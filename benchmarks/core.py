"""The core alone: matched inputs in, transitions out, as CPU seconds.

The recording is decoded and matched beforehand, in order of arrival, and held in memory.  What is
measured is dividing each block by key group and applying it: everything that stands between the
decoder and the transitions.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from audience_dsl.definitions import ParentPlan
from benchmarks.process import Failed
from benchmarks.suites import write_project
from benchmarks.workload import CACHE, Workload
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.chunks import Chunk
from connectors.sources.reader import EventReader
from dataflows.steps import Step, split_by_group
from engine.group import KeyGroup
from engine.hashing import GROUPS
from engine.inputs import Inputs, Snapshot
from project.folder import LoadedProject, load_project
from warehouse.pull import pull

_BLOCK_BYTES = 32 << 20


def core_seconds(recording: Workload, suite: str, rounds: int) -> float:
    """Return the median over the rounds, each with fresh state; one more round goes first."""
    folder = write_project(suite, CACHE / "projects" / suite, recording.users, "nothing.jsonl")
    loaded = load_project(folder).loaded
    if loaded is None:
        raise Failed(f"{folder} is not a project; see usher -C {folder} validate")
    plan = loaded.project.plans["users"]
    blocks = list(_matched(loaded, recording))
    start = int(blocks[0].arrivals[0])
    with tempfile.TemporaryDirectory() as store:
        warehouse = loaded.project.warehouse
        snapshot = pull(folder, warehouse, plan, start, store=Path(store)).snapshot
        spent = [_applied(plan, snapshot, start, blocks) for _ in range(rounds + 1)]
    return median(spent[1:])


def _matched(loaded: LoadedProject, recording: Workload) -> Iterator[Inputs]:
    reader = EventReader(loaded.project.events, loaded.project.plans, format="segment")
    line = 1
    with recording.events.open("rb") as file:
        while lines := file.readlines(_BLOCK_BYTES):
            data = np.frombuffer(b"".join(lines), dtype=np.uint8)
            batch = reader.read(Chunk("events", 0, line, data), ArrivalPolicy.RECORDED)
            line += len(lines)
            yield from batch.inputs.values()


def _applied(plan: ParentPlan, snapshot: Snapshot, start: int, blocks: list[Inputs]) -> float:
    groups = [KeyGroup(plan.plan, number) for number in range(GROUPS)]
    for group in groups:
        group.take_force(snapshot, start)
    before = time.process_time()
    for inputs in blocks:
        for _, step in split_by_group([Step(None, {"users": inputs}, 0)], ["users"]):
            if step.inputs is not None:
                groups[step.group].apply(step.inputs)
    return time.process_time() - before
