"""Whole backtests, files to output file, against the oracle: both clocks, any workers.

The recordings lie in several files that overlap in time, with events that were received late, twice
or before they happened.  What is written must be what the oracle says, in its order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.recorded import find_files
from dataflows.backtest import Recording, Request, Result, run_backtest
from project.folder import LoadedProject, load_project
from tests import oracle
from tests.harness import SCHEMA, Rig
from tests.properties.definitions import KINDS
from tests.properties.histories import Recordings, decode_recordings

AUDIENCES = st.one_of(KINDS["nested"], KINDS["seen"], KINDS["in_audience"], KINDS["at_most"])
POLICIES = {"event": ArrivalPolicy.EVENT, "arrival": ArrivalPolicy.RECORDED}


@pytest.mark.parametrize("clock", POLICIES)
@settings(max_examples=settings().max_examples // 8)
@given(AUDIENCES, st.binary(min_size=60, max_size=160), st.sampled_from([1, 1, 2]))
def test_against_oracle(
    clock: str, audiences: dict[str, Any], encoded: bytes, workers: int
) -> None:
    recordings = decode_recordings(encoded)
    rig = Rig(audiences)
    assume(any(listened_to(rig, recordings)))
    history, until = oracle.recorded(
        rig.definition,
        recordings.files,
        clock,
        recordings.rows,
        recordings.start,
        recordings.until,
    )
    assume(any(isinstance(step, oracle.Pull) and step.at <= until for step in history))
    with TemporaryDirectory() as folder:
        loaded = written(Path(folder), audiences, recordings)
        result, found = _run(loaded, clock, recordings, workers)
    assert found == rig.expected(history, until)
    counts = asdict(result.records)
    del counts["ahead"]
    assert counts.pop("read") == sum(counts.values())
    assert result.records.read == sum(map(len, recordings.files.values()))


def listened_to(rig: Rig, recordings: Recordings) -> Iterator[bool]:
    names = {model["type"] for model in rig.definition["events"].values()}
    for records in recordings.files.values():
        for record in records:
            yield record.get("event", record["type"]) in names


def written(root: Path, audiences: dict[str, Any], recordings: Recordings) -> LoadedProject:
    root.mkdir(parents=True, exist_ok=True)
    (root / "schema.yml").write_text(SCHEMA)
    (root / "audiences.yml").write_text(json.dumps({"audiences": audiences}))
    columns = ("plan", "ltv", "vip")
    lines = ["user_id,plan,ltv,vip"]
    for user, row in recordings.rows.items():
        values = ["" if row.get(name) is None else str(row[name]).lower() for name in columns]
        lines.append(",".join([user, *values]))
    (root / "users.csv").write_text("\n".join(lines) + "\n")
    events = root / "events"
    events.mkdir()
    for name, records in recordings.files.items():
        (events / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    loading = load_project(root, {})
    assert loading.loaded is not None, loading.diagnostics
    return loading.loaded


def _run(
    loaded: LoadedProject, clock: str, recordings: Recordings, workers: int
) -> tuple[Result, list[oracle.Transition]]:
    output = loaded.root / "out.jsonl"
    request = Request(
        [Recording(file, None, "segment") for file in find_files([loaded.root / "events"])],
        POLICIES[clock],
        recordings.start,
        recordings.until,
        workers=workers,
        output=output,
    )
    result = run_backtest(loaded, request)
    return result, [transition(json.loads(line)) for line in output.read_text().splitlines()]


def transition(record: dict[str, Any]) -> oracle.Transition:
    message_id = record["cause"].get("message_id", "")
    return oracle.Transition(
        oracle.read_instant(record["effective_at"]),
        record["user_id"],
        record["audience"],
        record["sequence"],
        record["type"],
        record["cause"]["kind"],
        "" if len(message_id) == 32 else message_id,
    )
