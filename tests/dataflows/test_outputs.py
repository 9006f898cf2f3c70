"""What a backtest writes: the same facts as JSON lines and as Parquet, complete or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataflows.outputs import open_output
from engine.records import TransitionRecord

RECORDS = [
    TransitionRecord(
        "0f",
        "entered",
        "keen",
        "v1",
        "users",
        'u "1"\n',
        "2026-03-01T10:00:00.000001Z",
        1,
        {"kind": "event", "message_id": "m1"},
    ),
    TransitionRecord(
        "0e",
        "exited",
        "keen",
        "v1",
        "users",
        "ü",
        "1969-12-31T23:59:59.999999Z",
        2,
        {"kind": "window_expired", "condition": "performed seen"},
    ),
]


def test_json_lines_have_the_keys_of_the_contract_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    with open_output(path) as output:
        output.write(RECORDS[:1])
        output.write(RECORDS[1:])
    lines = path.read_text().splitlines()
    assert lines[0] == (
        '{"id":"0f","type":"entered","audience":"keen","audience_version":"v1",'
        '"parent_model":"users","user_id":"u \\"1\\"\\n",'
        '"effective_at":"2026-03-01T10:00:00.000001Z","sequence":1,'
        '"cause":{"kind":"event","message_id":"m1"}}'
    )
    assert json.loads(lines[1])["user_id"] == "ü"


def test_parquet_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    with open_output(path) as output:
        output.write(RECORDS)
    rows = pq.read_table(path).to_pylist()
    assert [row["user_id"] for row in rows] == ['u "1"\n', "ü"]
    assert rows[0]["effective_at"] == datetime(2026, 3, 1, 10, 0, 0, 1, UTC)
    assert rows[1]["effective_at"] == datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)
    assert rows[0]["cause"]["message_id"] == "m1"
    assert rows[0]["cause"]["condition"] is None
    assert rows[1]["cause"] == {
        "kind": "window_expired",
        "message_id": None,
        "condition": "performed seen",
        "pull": None,
    }


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_nothing_found_is_an_empty_file(tmp_path: Path, name: str) -> None:
    with open_output(tmp_path / name):
        pass
    if name.endswith("parquet"):
        assert pq.read_table(tmp_path / name).num_rows == 0
    else:
        assert (tmp_path / name).read_bytes() == b""


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_what_fails_leaves_the_old_file_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")

    def write_half() -> None:
        with open_output(tmp_path / name) as output:
            output.write(RECORDS)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"
