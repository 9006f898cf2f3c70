"""What the public application takes and answers, as OpenAPI 3.1."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from schedules.freshness import State
from serving.collecting.openapi import COLLECTOR_SCHEMAS, collector_paths
from serving.problems import MEDIA_TYPE
from warehouse.history import Extent, Status, Trigger

Json = dict[str, Any]


@cache
def document() -> Json:
    path = "/v1/warehouse/{parent_model}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Usher",
            "version": version("usher"),
            "description": "Realtime audiences: how fresh they are, pulls of the warehouse, and a "
            "collector of events for vendors' clients.",
        },
        "paths": {
            path: {
                "parameters": [_PARENT],
                "get": _secured(
                    "How fresh the audiences of a parent model are.", _ref("Freshness")
                ),
            },
            f"{path}/pulls": {
                "parameters": [_PARENT],
                "get": _secured("Its pulls, the newest first.", _ref("Pulls"), query=[_LIMIT]),
                "post": {
                    **_secured(
                        "Pull it as soon as no other pull is under way.",
                        _ref("Asked"),
                        status="202",
                        scopes="warehouse:pull",
                        more={
                            "413": _problem("The body is too long."),
                        },
                    ),
                    "requestBody": {"content": {"application/json": {"schema": _WANTED}}},
                },
            },
            "/livez": {"get": _open("Whether the server lives.", _ref("Health"))},
            "/readyz": {
                "get": _open(
                    "Whether its answers are up to date.",
                    _ref("Health"),
                    {"503": _json("Not now, for these reasons.", _ref("Health"))},
                )
            },
            "/openapi.json": {"get": _open("This document.", {"type": "object"})},
            **collector_paths(),
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_schemas(), **COLLECTOR_SCHEMAS},
        },
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: Json, media_type: str = "application/json") -> Json:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _problem(description: str) -> Json:
    return _json(description, _ref("Problem"), MEDIA_TYPE)


def _open(summary: str, schema: Json, more: Json | None = None) -> Json:
    return {"summary": summary, "responses": {"200": _json(summary, schema), **(more or {})}}


def _secured(
    summary: str,
    schema: Json,
    *,
    status: str = "200",
    scopes: str = "audiences:read or warehouse:pull",
    query: list[Json] | None = None,
    more: Json | None = None,
) -> Json:
    return {
        "summary": summary,
        "description": f"Needs a key with the scope {scopes}.",
        "security": [{"key": []}],
        "parameters": query or [],
        "responses": {
            status: _json(summary, schema),
            "400": _problem("The request is not as it should be."),
            "401": _problem("There is no valid key."),
            "403": _problem("The key does not allow this."),
            "404": _problem("There is no such parent model."),
            "503": _problem("It cannot be read at this moment."),
            **(more or {}),
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
        "Problem": _object(type=text, title=text, status={"type": "integer"}, detail=text),
        "Health": {
            "type": "object",
            "properties": {"status": text, "reasons": {"type": "array", "items": text}},
            "required": ["status"],
        },
        "Pull": _object(
            pull_date=_INSTANT,
            status=_choice(Status),
            trigger=_choice(Trigger),
            extent=_choice(Extent),
            duration={"type": ["number", "null"], "description": "Seconds."},
            rows=count,
            moved={**count, "description": "Users of whom something has changed."},
            error={"type": ["string", "null"]},
            version=text,
        ),
        "Snapshot": _object(
            version=text, taken_at=_INSTANT, read_at=_INSTANT, rows={"type": "integer"}
        ),
        "Freshness": _object(
            parent_model=text,
            snapshot=_or_null("Snapshot"),
            last_pull=_or_null("Pull"),
            next_pull=_INSTANT,
            is_refreshing=flag,
            is_stale=flag,
            audiences={
                "type": "array",
                "items": _object(audience=text, state=_choice(State)),
            },
        ),
        "Pulls": _object(parent_model=text, pulls={"type": "array", "items": _ref("Pull")}),
        "Asked": _object(
            parent_model=text,
            asked_at=_INSTANT,
            joined={**flag, "description": "Whether one that was to begin is for both."},
        ),
    }


def _object(**properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(name: str) -> Json:
    return {"anyOf": [_ref(name), {"type": "null"}]}


def _choice(kinds: type[State | Status | Trigger | Extent]) -> Json:
    return {"type": "string", "enum": [str(one) for one in kinds]}
