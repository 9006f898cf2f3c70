"""What the public application takes and answers, as OpenAPI 3.1."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from schedules.freshness import State
from serving import openapi_reads
from serving.collecting.openapi import COLLECTOR_SCHEMAS, collector_paths
from serving.described import (
    Json,
    answered,
    choice,
    or_null,
    problem,
    record,
    ref,
    secured,
    unsecured,
)
from warehouse.history import Extent, Status, Trigger


@cache
def document() -> Json:
    path = "/v1/warehouse/{parent_model}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Usher",
            "version": version("usher"),
            "description": "Realtime audiences: who is in them, since when and until when; and a "
            "collector of events for vendors' clients.",
        },
        "paths": {
            **openapi_reads.paths(),
            path: {
                "parameters": [_PARENT],
                "get": secured("How fresh the audiences of a parent model are.", ref("Freshness")),
            },
            f"{path}/pulls": {
                "parameters": [_PARENT],
                "get": secured("Its pulls, the newest first.", ref("Pulls"), query=[_LIMIT]),
                "post": {
                    **secured(
                        "Pull it as soon as no other pull is under way.",
                        ref("Asked"),
                        status="202",
                        scopes="warehouse:pull",
                        more={
                            "413": problem("The body is too long."),
                        },
                    ),
                    "requestBody": {"content": {"application/json": {"schema": _WANTED}}},
                },
            },
            "/livez": {"get": unsecured("Whether the server lives.", ref("Health"))},
            "/readyz": {
                "get": unsecured(
                    "Whether its answers are up to date.",
                    ref("Health"),
                    {"503": answered("Not now, for these reasons.", ref("Health"))},
                )
            },
            "/openapi.json": {"get": unsecured("This document.", {"type": "object"})},
            **collector_paths(),
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_schemas(), **COLLECTOR_SCHEMAS},
        },
    }


_PARENT = {"name": "parent_model", "in": "path", "required": True, "schema": {"type": "string"}}
_LIMIT = {
    "name": "limit",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
}
_WANTED = {
    "type": "object",
    "properties": {
        "full": {
            "type": "boolean",
            "default": False,
            "description": "Read all rows, also those that have not changed.",
        }
    },
    "additionalProperties": False,
}
_INSTANT = {"type": "string", "format": "date-time"}


def _schemas() -> Json:
    text = {"type": "string"}
    flag = {"type": "boolean"}
    count = {"type": ["integer", "null"]}
    return {
        **openapi_reads.schemas(),
        "Problem": record(type=text, title=text, status={"type": "integer"}, detail=text),
        "Health": {
            "type": "object",
            "properties": {"status": text, "reasons": {"type": "array", "items": text}},
            "required": ["status"],
        },
        "Pull": record(
            pull_date=_INSTANT,
            status=choice(Status),
            trigger=choice(Trigger),
            extent=choice(Extent),
            duration={"type": ["number", "null"], "description": "Seconds."},
            rows=count,
            moved={**count, "description": "Users of whom something has changed."},
            error={"type": ["string", "null"]},
            version=text,
        ),
        "Snapshot": record(
            version=text, taken_at=_INSTANT, read_at=_INSTANT, rows={"type": "integer"}
        ),
        "Freshness": record(
            parent_model=text,
            snapshot=or_null("Snapshot"),
            last_pull=or_null("Pull"),
            next_pull=_INSTANT,
            is_refreshing=flag,
            is_stale=flag,
            audiences={
                "type": "array",
                "items": record(audience=text, state=choice(State)),
            },
        ),
        "Pulls": record(parent_model=text, pulls={"type": "array", "items": ref("Pull")}),
        "Asked": record(
            parent_model=text,
            asked_at=_INSTANT,
            joined={**flag, "description": "Whether one that was to begin is for both."},
        ),
    }
