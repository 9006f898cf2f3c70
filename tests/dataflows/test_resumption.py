"""What Bytewax will resume from: read from its store as it reads it itself."""

from __future__ import annotations

import pickle
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main

from dataflows.resumption import PARTITION, DamagedStore, read_resumption

STEP = "counting.count"


class Count(StatefulBatchLogic[int, int, bytes]):
    """Adds up; says what it was resumed with."""

    resumed: dict[str, bytes]

    def __init__(self, stored: bytes | None) -> None:
        self.total = int(stored or b"0")

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        self.total += sum(values)
        return [], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        return str(self.total).encode()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    init_db_dir(tmp_path, 1)
    return tmp_path


def run(store: Path, items: list[Any], workers: int) -> list[bytes]:
    """Run until the items end or abort; return what keys were resumed with."""
    resumed: list[bytes] = []

    def build(stored: bytes | None) -> Count:
        if stored is not None:
            resumed.append(stored)
        return Count(stored)

    flow = Dataflow("counting")
    numbers = op.input("numbers", flow, TestingSource(items, batch_size=1))
    counted = op.stateful_batch("count", numbers, build)
    op.output("out", counted, TestingSink([]))
    cluster_main(
        flow,
        [],
        0,
        epoch_interval=timedelta(0),
        recovery_config=RecoveryConfig(store, None),
        worker_count_per_proc=workers,
    )
    return sorted(resumed)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("end", [TestingSource.EOF(), TestingSource.ABORT()])
def test_it_is_what_the_next_run_is_given(store: Path, workers: int, end: Any) -> None:
    items = [(f"k{number % 5}", number) for number in range(40)]
    run(store, [*items[:23], end, *items[23:]], workers)
    for _ in range(2):
        read = sorted(counts(store))
        resumed = run(store, [], 1)
        assert read == resumed
        assert read


def counts(store: Path) -> list[bytes]:
    """The rows of the counting step; the source's own are numbers, which we never store."""
    with closing(sqlite3.connect(store / PARTITION)) as database:
        database.execute("DELETE FROM snaps WHERE step_id = 'counting.numbers'")
        database.commit()
    return [row.state for row in read_resumption(store) if row.step == STEP]


def test_a_store_that_nothing_was_stored_in_has_nothing(store: Path) -> None:
    assert read_resumption(store) == []


def test_a_snapshot_that_would_run_code_is_refused(store: Path) -> None:
    run(store, [("k", 1)], 1)
    with closing(sqlite3.connect(store / PARTITION)) as database:
        database.execute("UPDATE snaps SET ser_change = ?", [pickle.dumps(print)])
        database.commit()
    with pytest.raises(DamagedStore, match="a snapshot asks for builtins"):
        read_resumption(store)
