"""Recordings as the project of somebody who replays them, and what the oracle makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.recorded import find_files
from dataflows.backtest import Recording
from project.folder import LoadedProject, load_project
from tests import oracle
from tests.harness import SCHEMA, Rig
from tests.properties.definitions import KINDS
from tests.properties.histories import Recordings

AUDIENCES = st.one_of(KINDS["nested"], KINDS["seen"], KINDS["in_audience"], KINDS["at_most"])
POLICIES = {"event": ArrivalPolicy.EVENT, "arrival": ArrivalPolicy.RECORDED}


def history_of(rig: Rig, recordings: Recordings, clock: str) -> tuple[list[oracle.Step], int]:
    """What happened, and when time ended; some event of it is asked for."""
    assume(any(_listened_to(rig, recordings)))
    return oracle.recorded(
        rig.definition,
        recordings.files,
        clock,
        recordings.rows,
        recordings.start,
        recordings.until,
    )


def begins_before(history: list[oracle.Step], until: int) -> bool:
    """Whether the snapshot takes force before time ends."""
    return any(isinstance(step, oracle.Pull) and step.at <= until for step in history)


def written(root: Path, audiences: dict[str, Any], recordings: Recordings) -> LoadedProject:
    root.mkdir(parents=True, exist_ok=True)
    (root / "schema.yml").write_text(SCHEMA)
    (root / "audiences.yml").write_text(json.dumps({"audiences": audiences}))
    write_users(root, recordings.rows)
    events = root / "events"
    events.mkdir()
    for name, records in recordings.files.items():
        (events / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    loading = load_project(root, {})
    assert loading.loaded is not None, loading.diagnostics
    return loading.loaded


def write_users(root: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    columns = ("plan", "ltv", "vip")
    lines = ["user_id,plan,ltv,vip"]
    for user, row in rows.items():
        values = ["" if row.get(name) is None else str(row[name]).lower() for name in columns]
        lines.append(",".join([user, *values]))
    (root / "users.csv").write_text("\n".join(lines) + "\n")


def recordings_in(loaded: LoadedProject) -> list[Recording]:
    return [Recording(file, None, "segment") for file in find_files([loaded.root / "events"])]


def transition(record: dict[str, Any]) -> oracle.Transition:
    """A record as the oracle has it, to which an event without a message id has none."""
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


def _listened_to(rig: Rig, recordings: Recordings) -> Iterator[bool]:
    names = {model["type"] for model in rig.definition["events"].values()}
    for records in recordings.files.values():
        for record in records:
            yield record.get("event", record["type"]) in names
