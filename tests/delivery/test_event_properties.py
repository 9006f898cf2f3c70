"""What a mapping names of an event comes from the raw record into the message."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from audience_dsl import compile_project
from audience_dsl.syncs import carried_properties
from connectors.destinations.destination import Message
from connectors.destinations.registry import OPTIONS
from connectors.sources.reader import EventReader
from dataflows.wire import packed, unpacked
from delivery.messages import Messages
from membership.proposals import proposals_of
from tests.engine.columns import snapshot_of
from tests.harness import SCHEMA, Job
from tests.membership.places import SqlitePlace
from tests.sources.shop import page, read
from warehouse.profiles import Profiles

PROJECT: dict[str, Any] = {
    "audiences": {
        "buyers": {
            "parent_model": "users",
            "where": {"performed": "order_completed", "within": "10m"},
        },
        "lookers": {
            "parent_model": "users",
            "where": {"performed": "page_viewed", "at_least": 2, "within": "10m"},
        },
    },
    "destinations": {"out": {"type": "file", "path": "out.jsonl"}},
    "syncs": {
        "s": {
            "audience": "buyers",
            "destination": "out",
            "mapping": {"value": "{{ event.amount }}", "on": "Page {{ event.path }}"},
        }
    },
}
EVENTS = [
    page("ann", "2026-03-01T10:00:00Z", messageId="p1", properties={"path": "/a"}),
    page(
        "ann", "2026-03-01T10:01:00Z", type="track", event="Order Completed", messageId="o1",
        properties={"amount": "12.5", "coupon": "SECRET"},
    ),
    page("ann", "2026-03-01T10:02:00Z", messageId="p2", properties={"path": "/b"}),
]  # fmt: skip


@pytest.mark.parametrize("restarted", [False, True])
def test_from_the_record_to_the_message(tmp_path: Path, restarted: bool) -> None:
    text = json.dumps(PROJECT)
    files = {"a.yml": text, "s.yml": SCHEMA}
    project = compile_project(files, {}, lambda *_: None, OPTIONS).project
    assert project is not None
    reader = EventReader(
        project.events, project.plans, format="segment", carried=carried_properties(project)
    )
    inputs = unpacked(packed(read(reader, *EVENTS).inputs["users"]))
    plan = project.plans["users"].plan
    place = SqlitePlace(tmp_path / "store.db")
    store = place.owner()
    for turn in range(1 + restarted):  # the second time after a crash, from the beginning
        job = Job(plan, [None])
        job.take_force(snapshot_of(plan, {}), int(inputs.timestamps[0]) - 1)
        for transitions in job.apply(inputs):
            store.record([proposals_of(plan, 0, transitions)], turn)
        job.restart(Random(turn))
        for transitions in job.advance(int(inputs.timestamps[-1]) + 3_600_000_000):
            store.record([proposals_of(plan, 0, transitions)], turn)
    entries = place.reader().transitions().entries
    place.close()

    found = [(one.record.audience, one.record.type, one.event) for one in entries]
    assert found == [
        ("buyers", "entered", '{"amount":12.5}'),
        ("lookers", "entered", '{"path":"/b"}'),
        ("lookers", "exited", None),
        ("buyers", "exited", None),
    ]
    assert entries[0].record.cause == {"kind": "event", "message_id": "o1"}
    made = Messages(project.syncs["s"], _Nobody())
    messages = [made.of(one, Profiles("", (), None)) for one in entries]
    assert [one.mapped for one in messages if isinstance(one, Message)] == [
        {"value": 12.5, "on": "Page "},
        {"value": None, "on": "Page "},
    ]


class _Nobody:
    """Nobody is withheld."""

    def has(self, _user_id: str, _sequence: int) -> bool:
        return False

    def add(self, user_id: str, sequence: int) -> None:
        raise AssertionError((user_id, sequence))

    def remove(self, user_id: str, sequence: int) -> None:
        raise AssertionError((user_id, sequence))
