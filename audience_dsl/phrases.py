"""Shapes and names in words, for messages."""

from __future__ import annotations

from collections.abc import Collection
from heapq import nsmallest

from audience_dsl.diagnostics import listed
from audience_dsl.shapes import (
    Choice,
    Duration,
    Either,
    Flag,
    Forms,
    Integer,
    ListOf,
    Name,
    Record,
    Reference,
    Shape,
    Tagged,
    Text,
)

SINGULAR = {
    "sources": "source",
    "parent_models": "parent model",
    "related_models": "related model",
    "events": "event",
    "audiences": "audience",
    "collections": "collection",
    "destinations": "destination",
    "syncs": "sync",
}
_LISTED_MOST = 12
_LOOKED_THROUGH_MOST = 1_000


def asked(shape: Shape) -> str:
    """What a value of the shape is: "a duration such as 10m"."""
    match shape:
        case Text(what):
            return what
        case Choice(words):
            return f"one of {listed(words)}"
        case Integer():
            return "a whole number"
        case Flag():
            return "true or false"
        case Duration():
            return "a duration such as 10m"
        case Name(section):
            return f"the key of {'an' if section[0] in 'ae' else 'a'} {SINGULAR[section]}"
        case ListOf():
            return "a list"
        case Forms(title) | Tagged(title) | Record(title):
            return f"a {title}" if title != "from" else "a mapping"
        case Reference(name):
            return f"a {name}"
        case Either(short):
            return asked(short)
        case _:
            return "a value"


def forms_help(shape: Forms) -> str:
    """Which keys name its forms."""
    known = [name for name, record in shape.forms.items() if not record.refused]
    return f"a {shape.title} has one of the keys {listed(known)}"


def known_names(kind: str, known: Collection[str]) -> str:
    """The names that could have been meant, or how many there are."""
    if len(known) > _LOOKED_THROUGH_MOST:
        return f"none of the {len(known):,} that are known is like it"
    names = nsmallest(_LISTED_MOST, known)
    more = f" and {len(known) - _LISTED_MOST} more" if len(known) > _LISTED_MOST else ""
    plural = kind[:-1] + "ies" if kind.endswith("y") and kind != "key" else kind + "s"
    return f"known {plural}: {', '.join(names)}{more}"
