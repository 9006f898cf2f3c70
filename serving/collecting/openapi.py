"""What the collector takes and answers, as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any, Final

from serving.collecting.paths import BATCHES, CALLS, NO_EVENTS, PIXEL_CALLS, PIXELS
from serving.problems import MEDIA_TYPE

Json = dict[str, Any]

_TEXT: Final = {"type": "string"}
_ANY_JSON: Final[Json] = {"application/json": {}}
_OK: Final[Json] = {"description": "It is.", "content": {"text/plain": {"schema": _TEXT}}}

COLLECTOR_SCHEMAS: Final[Json] = {
    "Refusal": {
        "type": "object",
        "properties": {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "code": _TEXT,
            "message": _TEXT,
        },
        "required": ["type", "title", "status", "detail", "code", "message"],
        "additionalProperties": False,
    },
}


def collector_paths() -> Json:
    """By path; those of vendors' other versions are not all there."""
    call = _posted(
        "Keep an event, or a batch of them, of Segment's, RudderStack's or Hightouch's clients.",
        {"application/json": {}, "text/plain": {}},
    )
    call |= {"parameters": [_SOURCE]}
    payloads = _posted("Keep events of Snowplow's trackers.", {"text/plain": {"schema": _TEXT}})
    names = [*CALLS, *BATCHES, *(name[0] for name in CALLS)]
    pixel = _asked("Keep the event in the query of one of Snowplow's trackers.", "image/gif")
    pixel_call = _asked(
        "Keep the event in the query of Segment's or RudderStack's pixel.", "image/gif"
    )
    forgotten = {
        "summary": "Take and forget what clients tell their vendor of themselves.",
        "requestBody": {"content": {"*/*": {}}},
        "responses": {"200": {"description": "As the client expects it.", "content": _ANY_JSON}},
    }
    settings = _asked("What Segment's client asks first in a browser.", "application/json", "404")
    return {
        **{f"/v1/{name}": {"post": call} for name in names},
        "/beacon/v1/batch": {"post": call},
        "/com.snowplowanalytics.snowplow/tp2": {"post": payloads, "get": pixel},
        **{path: {"get": pixel} for path in PIXELS},
        **{path: {"get": pixel_call} for path in PIXEL_CALLS},
        **{f"/v1/{name}": {"post": forgotten} for name in NO_EVENTS},
        "/health": {"get": {"summary": "Whether anybody is there.", "responses": {"200": _OK}}},
        "/v1/projects/{write_key}/settings": {"parameters": [_KEY], "get": settings},
        "/sourceConfig/": {
            "get": _asked("What RudderStack's client asks first in a browser.", "application/json")
        },
    }


_SOURCE: Final = {
    "name": "source",
    "in": "query",
    "description": "For which source, of a key with the scope events:write.",
    "schema": _TEXT,
}
_KEY: Final = {"name": "write_key", "in": "path", "required": True, "schema": _TEXT}


def _refusal(description: str) -> Json:
    schema = {"$ref": "#/components/schemas/Refusal"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


_LATER: Final = {
    "429": _refusal("Too much has come; send it again."),
    "500": _refusal("A fault of ours; send it again."),
    "503": _refusal("It cannot be kept now; send it again."),
}


def _posted(summary: str, taken: Json) -> Json:
    return {
        "summary": summary,
        "description": "Answered when all is on disk. What cannot be read is kept with its reason.",
        "requestBody": {"content": {"*/*": {}}},
        "responses": {
            "200": {"description": "It is kept.", "content": taken},
            "400": _refusal("The sender is not known, or the body or batch is too long."),
            **_LATER,
        },
    }


def _asked(summary: str, media_type: str, unknown: str = "400") -> Json:
    return {
        "summary": summary,
        "responses": {
            "200": {"description": "As the client expects it.", "content": {media_type: {}}},
            unknown: _refusal("The sender is not known."),
            **_LATER,
        },
    }
