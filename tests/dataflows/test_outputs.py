"""What a backtest writes: the same facts as JSON lines and as Parquet, complete or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataflows.outputs import open_output
from engine.texts import Texts
from engine.transitions import Cause, Transitions
from tests.dataflows.found import plans

PLANS = plans()
KEYS = [audience.key for plan in PLANS for audience in plan.audiences]

TRANSITIONS = Transitions(
    Texts.of(['u "1"\n', "ü", "v"]),
    np.array([KEYS.index("paying"), KEYS.index("a"), KEYS.index("b")], dtype=np.int32),
    np.array([1_772_359_200_000_001, -1, 0]),
    np.array([1, 2, 3], dtype=np.int32),
    np.array([Cause.EVENT, Cause.WINDOW_EXPIRED, Cause.INITIAL], dtype=np.int8),
    np.array([-1, 1, -1], dtype=np.int32),
    Texts.of(["m1", "", ""]),
)


def test_json_lines_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    with open_output(path, PLANS) as output:
        output.write(TRANSITIONS.between(0, 1))
        output.write(TRANSITIONS.between(1, 3))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(one["parent_model"], one["audience"], one["user_id"]) for one in records] == [
        ("accounts", "paying", 'u "1"\n'),
        ("users", "a", "ü"),
        ("users", "b", "v"),
    ]


def test_more_lines_than_are_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    many = TRANSITIONS.taken(np.arange(10_000) % 3)
    many = replace(many, sequences=np.arange(1, 10_001, dtype=np.int32))
    with open_output(path, PLANS) as output:
        output.write(many)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [one["sequence"] for one in records] == list(range(1, 10_001))


def test_parquet_says_the_same(tmp_path: Path) -> None:
    for name in ("out.jsonl", "out.parquet"):
        with open_output(tmp_path / name, PLANS) as output:
            output.write(TRANSITIONS)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [one["effective_at"] for one in rows] == [
        datetime(2026, 3, 1, 10, 0, 0, 1, UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ]
    for line, row in zip(lines, rows, strict=True):
        row["effective_at"] = f"{row['effective_at']:%Y-%m-%dT%H:%M:%S.%f}Z"
        assert row["cause"].keys() == {"kind", "message_id", "condition", "pull"}
        row["cause"] = {key: value for key, value in row["cause"].items() if value is not None}
        assert row == line


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_nothing_found_is_an_empty_file(tmp_path: Path, name: str) -> None:
    with open_output(tmp_path / name, PLANS):
        pass
    if name.endswith("parquet"):
        assert pq.read_table(tmp_path / name).num_rows == 0
    else:
        assert (tmp_path / name).read_bytes() == b""


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_what_fails_leaves_the_old_file_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")

    def write_half() -> None:
        with open_output(tmp_path / name, PLANS) as output:
            output.write(TRANSITIONS)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"
