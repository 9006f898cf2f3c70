"""Snowplow's enriched events: tab-separated, or JSON of either kind.

The stream's own form is a line of 131 columns, some of which hold self-describing JSON.  The
vendor's libraries turn it into an object without nulls in which each self-describing entity has a
key of its own (`unstruct_event_com_acme_order_completed_1`, `contexts_com_acme_user_1`); others
keep the columns as they are.  Whatever the form, paths lead into all of these:

- the columns by name;
- `contexts_<vendor>_<name>_<major>[0].field` and `unstruct_event_<vendor>_<name>_<major>.field`;
- `unstruct_event.field`, whatever the event's schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from connectors.sources.decoding import Decoder, read_object
from connectors.sources.exact import Unreadable, read_json
from connectors.sources.format import Format
from connectors.sources.paths import Path
from connectors.sources.shape import Shape
from connectors.sources.snowplow_columns import COLUMNS, FLAGS, INTEGERS, NUMBERS

ENTITIES = ("unstruct_event", "contexts", "derived_contexts")

_SCHEMA = re.compile(r"iglu:([\w.-]+)/([\w-]+)/[\w-]+/(\d+)-\d+-\d+")


def names_of(values: tuple[object, ...]) -> tuple[str, ...]:
    """An event answers to its kind, `page_view`; if its own kind, to its name or vendor/name.

    Structured events go by their action.
    """
    kind, name, vendor, action = (one if isinstance(one, str) else "" for one in values)
    match kind:
        case "unstruct":
            return tuple(filter(None, (name, name and vendor and f"{vendor}/{name}")))
        case "struct":
            return (action,) if action else ()
        case "":
            return ()
        case _:
            return (kind,)


def decoder(paths: Iterable[Path]) -> Decoder:
    paths = set(paths)
    tops = {str(path.steps[0]) for path in paths}
    # The JSON of the vendor's libraries can be decoded as it is, unless a path leads to what the
    # view adds, or the record keeps its entities in columns.
    with_entities = any(top.startswith(ENTITIES) for top in tops)
    shape = Shape(paths, refused=ENTITIES if with_entities else ())
    return Decoder(shape, read_line, view, direct=not tops & {*ENTITIES})


def read_line(line: bytes) -> dict[str, object]:
    """The event of a line of either form.

    Raises:
        Unreadable: it is neither.
    """
    if line.startswith(b"{"):
        return view(read_object(line))
    values = line.decode("utf-8", "replace").split("\t")
    if len(values) < len(COLUMNS):
        raise Unreadable(f"{len(values)} columns where Snowplow has {len(COLUMNS)}, and not JSON")
    present = zip(COLUMNS, values[: len(COLUMNS)], strict=True)
    return view({name: read_column(name, text) for name, text in present if text})


def view(raw: Mapping[str, object]) -> dict[str, object]:
    """An event with its entities under keys of their own, whichever form it came in."""
    event = dict(raw)
    for column in ENTITIES:
        if isinstance(text := event.get(column), str):
            event[column] = _read_entities(text)
    contexts: dict[str, list[object]] = {}
    for column in ("contexts", "derived_contexts"):
        for key, data in _entities(event.get(column)):
            contexts.setdefault(f"contexts_{key}", []).append(data)
    event |= contexts
    wrapped = event.get("unstruct_event")
    if isinstance(wrapped, dict):
        for key, data in _entities({"data": [wrapped.get("data")]}):
            event[f"unstruct_event_{key}"] = data
            event["unstruct_event"] = {**data, **wrapped} if isinstance(data, dict) else wrapped
    else:
        for key in [key for key in event if key.startswith("unstruct_event_")]:
            event["unstruct_event"] = event[key]
    return event


def entity_key(schema: object) -> str | None:
    """`com_acme_order_completed_1` of `iglu:com.acme/orderCompleted/jsonschema/1-0-2`."""
    match = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if match is None:
        return None
    vendor, name, major = match.groups()
    snake = re.sub(r"([^A-Z_])([A-Z])", r"\1_\2", name)
    return re.sub(r"[.-]", "_", f"{vendor}_{snake}_{major}").lower()


def _entities(wrapper: object) -> Iterator[tuple[str, object]]:
    """The key and data of each self-describing entity in a wrapper around many."""
    entities = wrapper.get("data") if isinstance(wrapper, dict) else None
    for entity in entities if isinstance(entities, list) else ():
        if isinstance(entity, dict) and (key := entity_key(entity.get("schema"))):
            yield key, entity.get("data")


def read_column(name: str, text: str) -> object:
    try:
        if name in INTEGERS:
            return int(text)
        if name in NUMBERS:
            return float(text)
    except ValueError:
        return text
    if name in FLAGS:
        return {"1": True, "0": False}.get(text, text)
    return text


def _read_entities(text: str) -> object:
    try:
        return read_json(text)
    except Unreadable:
        return None


SNOWPLOW = Format(
    name="snowplow",
    key="user_id",
    identities=("user_id", "domain_userid", "network_userid"),
    timestamp="derived_tstamp",
    message_id="event_id",
    arrival="collector_tstamp",
    naming=("event", "event_name", "event_vendor", "se_action"),
    names_of=names_of,
    decoder=decoder,
)
