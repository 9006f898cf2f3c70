"""The JSON Schema of a definitions file, from the grammar; editors complete and check from it.

It describes each file by itself.  Names, types of columns and whatever else needs the other files
are the compiler's business.  Texts may be written as plain numbers or flags, since the compiler
reads them as texts there; a text with a variable is allowed wherever a scalar is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audience_dsl import durations
from audience_dsl.grammar import REFERENCES, grammar
from audience_dsl.operators import Operand as Right
from audience_dsl.shapes import (
    Anything,
    Choice,
    Duration,
    Either,
    Field,
    Flag,
    Forms,
    Integer,
    ListOf,
    MapOf,
    Name,
    Operand,
    Record,
    Reference,
    Shape,
    Tagged,
    Text,
)

Schema = dict[str, Any]

_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_VARIABLE: Schema = {"type": "string", "pattern": r"\$\{"}
_NAME: Schema = {"type": ["string", "number"]}


def json_schema(destinations: Mapping[str, Record]) -> Schema:
    """The schema as a JSON object, of draft 2020-12."""
    sections = {}
    for name, section in grammar(destinations).items():
        schema = _schema(section.shape)
        if isinstance(section.shape, MapOf):
            schema["type"] = ["object", "null"]
        sections[name] = {"description": section.doc, **schema}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Usher: definitions of an audience project",
        "type": ["object", "null"],
        "properties": sections,
        "additionalProperties": False,
        "$defs": {name: _schema(shape) for name, shape in REFERENCES.items()},
    }


def _schema(shape: Shape) -> Schema:
    match shape:
        case Text(secret=True):
            return dict(_VARIABLE)
        case Text(pattern=""):
            return _SCALAR | {"minLength": 1}
        case Text(pattern=pattern):
            text = {"type": "string", "pattern": f"^(?:{pattern})$"}
            return {"anyOf": [text, {"type": ["number", "boolean"]}, _VARIABLE]}
        case Choice(words):
            return {"anyOf": [{"enum": list(words)}, _VARIABLE]}
        case Integer(least, most):
            return {"anyOf": [{"type": "integer", "minimum": least, "maximum": most}, _VARIABLE]}
        case Flag():
            return {"anyOf": [{"type": "boolean"}, _VARIABLE]}
        case Duration():
            pattern = f"^{durations.PATTERN}$"
            return {"anyOf": [{"type": "string", "pattern": pattern}, _VARIABLE]}
        case Name():
            return dict(_NAME)
        case Operand(operator):
            return _operand(operator.operand)
        case Anything():
            return {}
        case ListOf(item, length):
            bounds = {"minItems": length or 1} | ({"maxItems": length} if length else {})
            return {"type": "array", "items": _schema(item), **bounds}
        case MapOf(key, value):
            names = {"propertyNames": {"pattern": f"^(?:{key.pattern})$"}} if key.pattern else {}
            return {"type": "object", **names, "additionalProperties": _schema(value)}
        case Record():
            return _record(shape)
        case Tagged(_, types):
            return {"oneOf": [_tagged(name, record) for name, record in types.items()]}
        case Forms():
            return _forms(shape)
        case Either(short, long):
            return {"oneOf": [_schema(short), _schema(long)]}
        case Reference(name):
            return {"$ref": f"#/$defs/{name}"}


def _record(record: Record) -> Schema:
    schema: Schema = {
        "type": "object",
        "description": record.doc,
        "properties": {one.name: _field(one) for one in record.fields if not one.refused},
        "additionalProperties": record.open,
    }
    required = [one.name for one in record.fields if one.required]
    if required:
        schema["required"] = required
    groups: list[Schema] = []
    for group in record.one_of:
        alone: list[Schema] = [{"required": [name]} for name in group.names]
        if not group.required:
            alone.append({"not": {"anyOf": [{"required": [name]} for name in group.names]}})
        groups.append({"oneOf": alone})
    return schema | (groups[0] if len(groups) == 1 else {"allOf": groups} if groups else {})


def _field(one: Field) -> Schema:
    default = f" Default: {one.default}." if one.default else ""
    return {"description": one.doc + default, **_schema(one.shape)}


def _tagged(name: str, record: Record) -> Schema:
    schema = _record(record)
    schema["title"] = name
    schema["properties"] = {"type": {"const": name}, **schema["properties"]}
    schema["required"] = ["type", *schema.get("required", [])]
    return schema


def _forms(shape: Forms) -> Schema:
    schemas = []
    for name, record in shape.forms.items():
        if not record.refused:
            schemas.append({"title": name, **_record(record)})
    if shape.otherwise is not None:
        by_alias = _schema(shape.otherwise)
        by_alias["propertyNames"] = {"not": {"enum": list(shape.forms)}}
        schemas.append(by_alias | {"minProperties": 1})
    if shape.bare is not None:
        schemas.append(_schema(shape.bare))
    return {"oneOf": schemas}


def _operand(right: Right) -> Schema:
    match right:
        case Right.VALUE:
            # A list is what an array is compared with.
            return {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]}
        case Right.VALUES | Right.ELEMENTS:
            item = _operand(Right.VALUE) if right is Right.VALUES else _SCALAR
            return {"type": "array", "items": item, "minItems": 1}
        case Right.PAIR:
            return {"type": "array", "items": _SCALAR, "minItems": 2, "maxItems": 2}
        case Right.FLAG:
            return _schema(Flag())
        case Right.DURATION:
            return _schema(Duration())
        case Right.TEXT | Right.PATTERN:
            return dict(_SCALAR)
