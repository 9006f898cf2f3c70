"""The parts that the description of every operation is put together from."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from serving.problems import MEDIA_TYPE

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
FLAG: Json = {"type": "boolean"}
WHOLE: Json = {"type": "integer"}
INSTANT: Json = {"type": "string", "format": "date-time"}
PARENT: Json = {"name": "parent_model", "in": "path", "required": True, "schema": TEXT}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def answered(description: str, schema: Json, media_type: str = "application/json") -> Json:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def problem(description: str) -> Json:
    return answered(description, ref("Problem"), MEDIA_TYPE)


def unsecured(summary: str, schema: Json, more: Json | None = None) -> Json:
    return {"summary": summary, "responses": {"200": answered(summary, schema), **(more or {})}}


def secured(
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
            status: answered(summary, schema),
            "400": problem("The request is not as it should be."),
            "401": problem("There is no valid key."),
            "403": problem("The key does not allow this."),
            "404": problem("There is nothing of that name."),
            "429": problem("It is asked too often."),
            "503": problem("It cannot be read at this moment."),
            **(more or {}),
        },
    }


def record(**properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def or_null(name: str) -> Json:
    return {"anyOf": [ref(name), {"type": "null"}]}


def choice(kinds: type[StrEnum]) -> Json:
    return {"type": "string", "enum": [str(one) for one in kinds]}


def parameter(name: str, schema: Json, description: str = "", place: str = "query") -> Json:
    described = {"description": description} if description else {}
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        **described,
    }


def array(items: Json, **more: Any) -> Json:
    return {"type": "array", "items": items, **more}


def body(schema: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema}}}
