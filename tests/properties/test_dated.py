"""Backtests with dated snapshots against the oracle: any clock, any workers, either file format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.backtest import Request, run_backtest
from project.folder import LoadedProject
from tests import oracle
from tests.harness import Rig
from tests.properties.histories import BASE, SECOND, Recordings, decode_recordings
from tests.properties.recorded import (
    AUDIENCES,
    POLICIES,
    history_of,
    recordings_in,
    transition,
    write_users,
    written,
)
from warehouse.errors import WarehouseError
from warehouse.pull import pull

_ROWS: tuple[dict[str, Any], ...] = (
    {"plan": "free", "ltv": 1},
    {"plan": "pro", "ltv": 3, "vip": True},
    {"ltv": 2, "vip": False},
)

# A row in which no column is empty, or a CSV file would not tell its type.
_FULL = {"plan": "free", "ltv": 1, "vip": True}


def _rows(random: Random) -> dict[str, dict[str, Any]]:
    some = [user for user in ("u1", "u2", "u3") if random.random() < 0.8]
    return {"u0": _FULL, **{user: random.choice(_ROWS) for user in some}}


def _keep(loaded: LoadedProject, rows: dict[str, dict[str, Any]], at: int, folder: Path) -> None:
    """Take a snapshot at an instant, and put it to the others."""
    write_users(loaded.root, rows)
    with TemporaryDirectory() as store:
        plan = loaded.project.plans["users"]
        taken = pull(loaded.root, None, plan, at, store=Path(store))
        shutil.copytree(taken.folder, folder / "users" / taken.version)


@pytest.mark.parametrize("clock", POLICIES)
@settings(max_examples=settings().max_examples // 20)
@given(AUDIENCES, st.binary(min_size=60, max_size=160), st.integers(0, 1 << 16))
def test_against_oracle(clock: str, audiences: dict[str, Any], encoded: bytes, seed: int) -> None:
    random = Random(seed)
    recordings = decode_recordings(encoded)._replace(start=BASE + random.randrange(4) * SECOND)
    recordings = recordings._replace(until=BASE + random.randrange(10, 60) * SECOND)
    rig = Rig(audiences)
    history, until = history_of(rig, recordings, clock)
    assert recordings.start is not None
    pulls = sorted(recordings.start + random.randrange(60) * SECOND for _ in range(4))
    with TemporaryDirectory() as name:
        folder = Path(name)
        loaded = written(folder / "project", audiences, recordings)
        dated = folder / "dated"
        _keep(loaded, recordings.rows, recordings.start - SECOND, dated)
        for at in dict.fromkeys(pulls):
            if recordings.start < at:
                rows = _rows(random)
                _keep(loaded, rows, at, dated)
                place = sum(_instant(step) < at for step in history)
                if at <= until:
                    history.insert(place, oracle.Pull(at, rows))
        found = [_run(loaded, clock, recordings, workers, dated) for workers in (1, 2)]
    assert found[0] == found[1]
    lines = [json.loads(line) for line in found[0].splitlines()]
    assert [transition(one) for one in lines] == rig.expected(history, until)
    for one in lines:
        if one["cause"]["kind"] == "warehouse_pull":
            taken = one["effective_at"].replace("-", "").replace(":", "")
            assert one["cause"]["pull"] == taken


def _instant(step: oracle.Step) -> int:
    return step.arrival if isinstance(step, oracle.Event) else step.at


def _run(
    loaded: LoadedProject, clock: str, recordings: Recordings, workers: int, dated: Path
) -> bytes:
    output = loaded.root / "out.jsonl"
    run_backtest(loaded, _request(loaded, clock, recordings, workers, output, dated))
    return output.read_bytes()


def _request(
    loaded: LoadedProject,
    clock: str,
    recordings: Recordings,
    workers: int,
    output: Path,
    dated: Path,
) -> Request:
    return Request(
        recordings_in(loaded),
        POLICIES[clock],
        recordings.start,
        recordings.until,
        workers=workers,
        output=output,
        snapshots=dated,
    )


PRO = {"pro": {"parent_model": "users", "where": {"property": "plan", "equals": "pro"}}}
RICH = {"rich": {"parent_model": "users", "where": {"property": "ltv", "at_least": 3}}}


def _project(root: Path, audiences: dict[str, Any]) -> LoadedProject:
    record = {"type": "page", "userId": "u1", "timestamp": "2026-03-01T10:00:10Z"}
    return written(root, audiences, Recordings({"a.jsonl": [record]}, {}, None, None))


def test_definitions_that_came_later_are_asked_of_the_rows_of_then(tmp_path: Path) -> None:
    before = _project(tmp_path / "before", PRO)
    dated = tmp_path / "dated"
    _keep(before, {"u0": _FULL, "u1": _ROWS[0]}, BASE, dated)
    _keep(before, {"u0": _FULL, "u1": _ROWS[1], "u2": _ROWS[0]}, BASE + 5 * SECOND, dated)
    after = _project(tmp_path / "after", RICH)
    span = Recordings({}, {}, BASE, BASE + 10 * SECOND)
    output = tmp_path / "out.parquet"
    run_backtest(after, _request(after, "event", span, 1, output, dated))
    (found,) = pq.read_table(output).to_pylist()
    assert (found["user_id"], found["audience"], found["type"]) == ("u1", "rich", "entered")
    assert found["cause"]["kind"] == "warehouse_pull"
    assert found["cause"]["pull"] == "20260301T100005.000000Z"


def test_a_folder_without_a_snapshot_for_the_beginning_is_refused(tmp_path: Path) -> None:
    loaded = _project(tmp_path / "project", PRO)
    dated = tmp_path / "dated"
    dated.mkdir()
    span = Recordings({}, {}, BASE, BASE + 10 * SECOND)
    request = _request(loaded, "event", span, 1, tmp_path / "out.jsonl", dated)
    with pytest.raises(WarehouseError, match="has no snapshots of users"):
        run_backtest(loaded, request)
    _keep(loaded, {"u0": _FULL, "u1": _ROWS[0]}, BASE + 1, dated)
    with pytest.raises(WarehouseError, match="later than the beginning of the backtest"):
        run_backtest(loaded, request)
