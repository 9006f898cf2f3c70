"""What is read of members, transitions, collections and syncs, for the OpenAPI document."""

from __future__ import annotations

from schedules.freshness import State
from serving.described import (
    INSTANT,
    PARENT,
    TEXT,
    WHOLE,
    Json,
    answered,
    array,
    body,
    choice,
    or_null,
    parameter,
    problem,
    record,
    ref,
    secured,
)

_USER = parameter("user_id", {**TEXT, "minLength": 1}, "Any text.", "path")
_CURSOR: Json = {"type": "string", "pattern": "^[0-9]{1,18}$"}
_COLLECTION = parameter("collection", TEXT, place="path")
_TOKEN = parameter("token", TEXT, "A visitor's, instead of a key.")
_SELECTION = [
    parameter("audience", TEXT, "Only of this audience."),
    parameter("parent_model", TEXT, "Only of users of this parent model."),
    parameter("user_id", TEXT, "Only of this user."),
    _TOKEN,
]
_LIMIT = parameter("limit", {**WHOLE, "minimum": 1, "maximum": 1000, "default": 100})
_TOO_LONG = {"413": problem("The body is too long.")}
_TOO_MUCH = {"413": problem("The body is too long, or the answer would be.")}
_READ, _LOOK_UP = "audiences:read", "collections:read"


def paths() -> Json:
    return {**_audiences(), **_journal(), **_collections(), **_syncs()}


def _audiences() -> Json:
    path = "/v1/audiences/{parent_model}"
    details = {"type": "string", "enum": ["details"]}
    include = parameter("include", details, "Also since when, and until when.")
    return {
        f"{path}/{{user_id}}": {
            "parameters": [PARENT, _USER],
            "get": secured(
                "The audiences that a user is in.",
                ref("User"),
                scopes=_READ,
                query=[include, _TOKEN],
            ),
        },
        path: {
            "parameters": [PARENT],
            "post": {
                **secured(
                    "The same of many, in their order.",
                    record(parent_model_id=TEXT, users=array(ref("User"))),
                    scopes=_READ,
                    query=[include],
                    more=_TOO_LONG,
                ),
                "requestBody": body(
                    {
                        "type": "object",
                        "properties": {
                            "user_ids": array({"type": ["string", "integer"]}, maxItems=1000),
                            "include": array(details),
                        },
                        "required": ["user_ids"],
                        "additionalProperties": False,
                    }
                ),
            },
        },
        "/v1/tokens": {
            "post": {
                **secured(
                    "A token for the browser of one user.",
                    record(token=TEXT, expires_at=INSTANT),
                    status="201",
                    scopes=_READ,
                    more=_TOO_LONG,
                ),
                "requestBody": body(
                    {
                        "type": "object",
                        "properties": {
                            "parent_model": TEXT,
                            "user_id": {**TEXT, "minLength": 1, "maxLength": 1024},
                            "expires_in": {
                                "type": "number",
                                "minimum": 1,
                                "maximum": 86_400,
                                "default": 3_600,
                                "description": "Seconds.",
                            },
                        },
                        "required": ["parent_model", "user_id"],
                        "additionalProperties": False,
                    }
                ),
            }
        },
    }


def _journal() -> Json:
    after = parameter("after", _CURSOR, "A cursor that an answer has given.")
    last = parameter("Last-Event-ID", _CURSOR, "The id of the last event.", "header")
    events = secured(
        "Transitions as they are recorded, as server-sent events.",
        {},
        scopes=_READ,
        query=[after, *_SELECTION, last],
    )
    events["responses"]["200"] = answered("Events until somebody ends it.", TEXT, _EVENTS)
    return {
        "/v1/transitions": {
            "get": secured(
                "The journal, page by page.",
                record(
                    transitions=array(ref("Transition")),
                    next_cursor=_CURSOR,
                    has_more={"type": "boolean"},
                ),
                scopes=_READ,
                query=[after, _LIMIT, *_SELECTION],
                more={"410": problem("The journal does not have what follows the cursor.")},
            )
        },
        "/v1/stream": {"get": events},
    }


_EVENTS = "text/event-stream"


def _collections() -> Json:
    path = "/v1/collections/{collection}/records"
    any_record: Json = {"type": "object"}
    value = {"type": ["string", "integer"]}
    audiences = {"type": "string", "enum": ["audiences"]}
    wanted = [
        parameter("fields", TEXT, "Names of columns, with commas between them."),
        parameter("include", audiences),
    ]
    return {
        f"{path}/{{index}}/{{value}}": {
            "parameters": [
                _COLLECTION,
                parameter("index", TEXT, "The primary key or an index.", "path"),
                parameter("value", {**TEXT, "minLength": 1}, place="path"),
            ],
            "get": secured(
                "The first record with that value.",
                any_record,
                scopes=_LOOK_UP,
                query=wanted,
            ),
        },
        path: {
            "parameters": [_COLLECTION],
            "post": {
                **secured(
                    "All records with some values, in their order.",
                    record(
                        collection=TEXT,
                        index=TEXT,
                        results=array(record(value=value, records=array(any_record))),
                    ),
                    scopes=_LOOK_UP,
                    query=wanted,
                    more=_TOO_MUCH,
                ),
                "requestBody": body(
                    {
                        "type": "object",
                        "properties": {
                            "values": array(value, maxItems=1000),
                            "index": {"type": ["string", "null"]},
                            "fields": array(TEXT),
                            "include": array(audiences),
                        },
                        "required": ["values"],
                        "additionalProperties": False,
                    }
                ),
            },
        },
    }


def _syncs() -> Json:
    return {
        "/v1/syncs": {
            "get": secured(
                "How deliveries stand.",
                record(syncs=array({"type": "object"})),
                scopes="admin",
            )
        },
        "/v1/syncs/{sync}/log": {
            "parameters": [parameter("sync", TEXT, place="path")],
            "get": secured(
                "What was said to a sync's destination, the newest first.",
                record(sync=TEXT, attempts=array({"type": "object"})),
                scopes="admin",
                query=[_LIMIT, parameter("before", _CURSOR, "The number of an attempt.")],
            ),
        },
    }


def schemas() -> Json:
    change = {"anyOf": [INSTANT, {"type": "null"}]}
    user = {"parent_model_id": TEXT, "user_id": TEXT, "audience_ids": array(TEXT)}
    membership = {
        "audience_id": TEXT,
        "audience_version": TEXT,
        "since": INSTANT,
        "sequence": WHOLE,
        "freshness": choice(State),
    }
    details = {
        "as_of": change,
        "cursor": _CURSOR,
        "snapshot": or_null("Snapshot"),
        "next_pull": INSTANT,
        "audiences": array(
            {
                "type": "object",
                "properties": {
                    **membership,
                    "next_change_at": {
                        **change,
                        "description": "If nothing happens; absent where that is not known.",
                    },
                },
                "required": list(membership),
                "additionalProperties": False,
            }
        ),
    }
    return {
        "User": {
            "type": "object",
            "properties": {**user, **details},
            "required": list(user),
            "additionalProperties": False,
        },
        "Transition": record(
            id=TEXT,
            type={"type": "string", "enum": ["entered", "exited"]},
            audience=TEXT,
            audience_version=TEXT,
            parent_model=TEXT,
            user_id=TEXT,
            effective_at=INSTANT,
            sequence=WHOLE,
            cause={"type": "object"},
            emitted_at=INSTANT,
        ),
    }
