"""Inputs that go to another process arrive as they were."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from dataflows import wire
from engine.inputs import Inputs
from tests.engine.columns import Seen, inputs_of

SEEN = st.lists(
    st.builds(
        Seen,
        user=st.text(max_size=6),
        arrival=st.integers(-(1 << 40), 1 << 40),
        conditions=st.lists(st.integers(0, 5), max_size=3, unique=True).map(tuple),
        id=st.text(max_size=6),
        ts=st.none() | st.integers(-(1 << 40), 1 << 40),
        tallied=st.booleans(),
    ),
    min_size=1,
    max_size=20,
)


def contents(inputs: Inputs) -> list[object]:
    count = inputs.size
    texts = [[one.text(i) for i in range(count)] for one in (inputs.users, inputs.message_ids)]
    numbers = [
        column.tolist()
        for column in (
            inputs.user_hashes,
            inputs.timestamps,
            inputs.arrivals,
            inputs.message_hashes,
            inputs.condition_sets,
            inputs.sets.starts,
            inputs.sets.items,
            inputs.tallied,
        )
    ]
    return [*texts, *numbers]


@given(SEEN, st.data())
def test_some_of_them_arrive_without_the_others(seen: list[Seen], data: st.DataObject) -> None:
    all_of_them = inputs_of(seen)
    first = data.draw(st.integers(0, len(seen) - 1))
    end = data.draw(st.integers(first + 1, len(seen)))
    sent = all_of_them.between(first, end)
    wire.pack_inputs()
    arrived = pickle.loads(pickle.dumps(sent))
    assert contents(arrived) == contents(sent)
    assert arrived.users.size == sent.users.size
    assert arrived.users.data.size == sent.users.size


def test_what_arrives_is_ready_for_the_core() -> None:
    arrived = wire.unpacked(wire.packed(inputs_of([Seen("u", 1), Seen("é", 2)])))
    assert arrived.frozen() is arrived
    columns: list[npt.NDArray[Any]] = [
        arrived.users.starts,
        arrived.users.data,
        arrived.arrivals,
        arrived.condition_sets,
    ]
    assert all(column.flags.aligned and not column.flags.writeable for column in columns)
    assert [column.dtype for column in columns] == [np.int64, np.uint8, np.int64, np.int32]


_PICKLED_BY_A_JOB = """
import pickle
import sys

from dataflows.realtime import flow_of
from tests.engine.columns import Seen, inputs_of

flow_of(sys.argv[1])
sys.stdout.buffer.write(pickle.dumps(inputs_of([Seen("u", 1)] * 1000)))
"""


def test_a_job_packs_what_its_processes_send_each_other(tmp_path: Path) -> None:
    (tmp_path / "project.yml").write_text(
        "sources: {web: {type: file, format: segment, path: events.jsonl}}\n"
        "events: {page: {source: web, type: page, parent_model: users}}\n"
        "parent_models: {users: {from: {csv: users.csv}, primary_key: user_id}}\n"
        "audiences: {keen: {parent_model: users, where: "
        "{performed: page, at_least: 2, within: 10m}}}\n"
    )
    (tmp_path / "users.csv").write_text("user_id\nu1\n")
    command = [sys.executable, "-c", _PICKLED_BY_A_JOB, str(tmp_path)]
    sent = subprocess.run(command, capture_output=True, check=True).stdout
    assert wire.packed(inputs_of([Seen("u", 1)] * 1000)) in sent
