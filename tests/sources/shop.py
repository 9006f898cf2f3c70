"""A small project over a source of events, and how tests feed it and look at what comes out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audience_dsl import compile_project
from audience_dsl.definitions import Project
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.chunks import Chunk
from connectors.sources.reader import Batch, EventReader

CAPTURES = Path(__file__).parent.parent / "fixtures" / "captures"

EVENTS = {
    "page_viewed": {
        "type": "page",
        "properties": {"path": "properties.path", "title": "properties.title"},
    },
    "order": {
        "type": "Order Completed",
        "properties": {
            "total": {"column": "properties.total", "type": "number"},
            "sku": "properties.products[0].sku",
            "value": "properties.value",
        },
    },
}

PAGES = {"pages": {"performed": "page_viewed", "within": "1h"}}


def project_of(
    audiences: Mapping[str, Any],
    events: Mapping[str, Any] = EVENTS,
    parent_models: Iterable[str] = ("users",),
) -> Project:
    """A project from the conditions of its audiences; parent models have the key `id`."""
    parents = list(parent_models)
    definition = {
        "project": "shop",
        "sources": {"web": {"type": "file", "path": "events.jsonl"}},
        "parent_models": {
            key: {"from": {"csv": f"{key}.csv"}, "primary_key": "id"} for key in parents
        },
        "events": {
            key: {"source": "web", "parent_model": parents[0], **event}
            for key, event in events.items()
        },
        "audiences": {
            key: {"parent_model": parents[0], "where": where}
            if "parent_model" not in where
            else where
            for key, where in audiences.items()
        },
    }
    text = json.dumps(definition)  # which is YAML as well
    compiled = compile_project({"shop.yml": text}, {}, lambda _warehouse, _model: None, {})
    assert compiled.project is not None, compiled.diagnostics
    return compiled.project


def reader_of(
    audiences: Mapping[str, Any] = PAGES, format: str | None = "segment", **more: Any
) -> EventReader:
    project = project_of(audiences, **more)
    return EventReader(project.events, project.plans, format=format)


def page(
    user: object = "u1", at: object = "2026-03-01T10:00:00.000Z", **more: Any
) -> dict[str, Any]:
    return {"type": "page", "userId": user, "timestamp": at, "messageId": "m1", **more}


def order(**properties: Any) -> dict[str, Any]:
    return page(type="track", event="Order Completed", properties=properties)


def chunk_of(*records: object, file: str = "events.jsonl", line: int = 1) -> Chunk:
    """Records as lines; bytes are lines already."""
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in records]
    data = b"".join(one + b"\n" for one in lines)
    return Chunk(file, 0, line, np.frombuffer(bytearray(data), dtype=np.uint8))


def read(reader: EventReader, *records: object) -> Batch:
    return reader.read(chunk_of(*records), ArrivalPolicy.EVENT)


def rows_of(batch: Batch, parent: str = "users") -> list[dict[str, Any]]:
    """The inputs of a batch, one dictionary a row."""
    if parent not in batch.inputs:
        return []
    inputs = batch.inputs[parent]
    bounds = inputs.sets.starts
    return [
        {
            "user": inputs.users.text(i),
            "timestamp": int(inputs.timestamps[i]),
            "arrival": int(inputs.arrivals[i]),
            "id": inputs.message_ids.text(i),
            "conditions": tuple(inputs.sets.items[bounds[number] : bounds[number + 1]].tolist()),
            "tallied": bool(inputs.tallied[i]),
        }
        for i, number in enumerate(inputs.condition_sets.tolist())
    ]


def adds_up(batch: Batch) -> bool:
    tallied = sum(int(inputs.tallied.sum()) for inputs in batch.inputs.values())
    return batch.received == tallied + batch.ignored + len(batch.dead_letters)
