"""Whole backtests, files to output file, against the oracle: both clocks, any workers.

The recordings lie in several files that overlap in time, with events that were received late, twice
or before they happened.  What is written must be what the oracle says, in its order.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dataflows.backtest import Request, Result, run_backtest
from project.folder import LoadedProject
from tests import oracle
from tests.harness import Rig
from tests.properties.histories import Recordings, decode_recordings
from tests.properties.recorded import (
    AUDIENCES,
    POLICIES,
    begins_before,
    history_of,
    recordings_in,
    transition,
    written,
)


@pytest.mark.parametrize("clock", POLICIES)
@settings(max_examples=settings().max_examples // 8)
@given(AUDIENCES, st.binary(min_size=60, max_size=160), st.sampled_from([1, 1, 2]))
def test_against_oracle(
    clock: str, audiences: dict[str, Any], encoded: bytes, workers: int
) -> None:
    recordings = decode_recordings(encoded)
    rig = Rig(audiences)
    history, until = history_of(rig, recordings, clock)
    assume(begins_before(history, until))
    with TemporaryDirectory() as folder:
        loaded = written(Path(folder), audiences, recordings)
        result, found = _run(loaded, clock, recordings, workers)
    assert found == rig.expected(history, until)
    counts = asdict(result.records)
    del counts["ahead"]
    assert counts.pop("read") == sum(counts.values())
    assert result.records.read == sum(map(len, recordings.files.values()))


def _run(
    loaded: LoadedProject, clock: str, recordings: Recordings, workers: int
) -> tuple[Result, list[oracle.Transition]]:
    output = loaded.root / "out.jsonl"
    request = Request(
        recordings_in(loaded),
        POLICIES[clock],
        recordings.start,
        recordings.until,
        workers=workers,
        output=output,
    )
    result = run_backtest(loaded, request)
    return result, [transition(json.loads(line)) for line in output.read_text().splitlines()]
