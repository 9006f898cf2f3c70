"""Snowplow's tracker protocol: flat parameters in a query, or many of them in a body.

A tracker writes an event as short parameters (`e=pv&url=…`), all of them texts, self-describing
JSON as text or in base64 among them.  They become the events that Snowplow's own enrichment would
deliver.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from audience_dsl.instants import format_instant, read_instant
from connectors.sources.chunks import excerpt
from connectors.sources.decoding import read_object, read_value
from connectors.sources.exact import Unreadable, read_json
from connectors.sources.requests.batches import Event, check_depth, deliver, open_body
from connectors.sources.requests.encoded import from_base64
from connectors.sources.requests.ids import id_of
from connectors.sources.requests.parameters import COLUMN_OF, KINDS, SIZES
from connectors.sources.requests.request import Received, Rejected, Request
from connectors.sources.requests.skew import believed, corrected
from connectors.sources.snowplow import ENTITIES, SNOWPLOW, read_column, view
from connectors.sources.texts import read_id

_SCHEMA = re.compile(r"iglu:([\w.-]+)/([\w-]+)/([\w-]+)/([\d-]+)")
_OWN = "com.snowplowanalytics.snowplow"
_WEBHOOK = "/com.snowplowanalytics.iglu/v1"
_OF_WEBHOOKS = ("schema", "aid", "p", "eid", "nuid", "ttm", "url")
_SIZE = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")


def read_payloads(request: Request) -> Received:
    """The events of a request; those that are broken are rejected one by one.

    Raises:
        TooLong: its body or its batch is longer than it may be.
    """
    received = Received()
    seen = _seen(request)
    if request.path.endswith(_WEBHOOK) and request.parameter("schema") is not None:
        items, received.rejected = _told_to_webhook(request)
        own = {name: text for name, text in request.query if name in _OF_WEBHOOKS}
        shared = {**seen, **own}
        deliver(items, received, lambda one: _enriched(_described(one, own), request, seen), shared)
    else:
        items, received.rejected = _payloads(request)
        deliver(items, received, lambda one: _enriched(one, request, seen), seen, sender="aid")
    return received


def _payloads(request: Request) -> tuple[Sequence[object], list[Rejected]]:
    if request.method != "POST":
        return [dict(request.query)] if request.query else [], []
    content, rejected = open_body(request, read_object)
    if content is None:
        return [], rejected
    payloads = content.get("data")
    if isinstance(payloads, list):
        return payloads, []
    return [], [Rejected("a payload without events", excerpt(request.body))]


def _told_to_webhook(request: Request) -> tuple[Sequence[object], list[Rejected]]:
    """The data of its events: a body, or each of a list of them, or what else is in a query."""
    if request.method != "POST":
        return [{name: text for name, text in request.query if name not in _OF_WEBHOOKS}], []
    content, rejected = open_body(request, read_value)
    if rejected:
        return [], rejected
    return content if isinstance(content, list) else [content], []


def _described(data: Event, own: Mapping[str, str]) -> Event:
    """The payload of an event of a webhook, whose own parameters have its schema."""
    told = {name: text for name, text in own.items() if name != "schema"}
    described = {"schema": own["schema"], "data": data}
    wrapped = {"schema": f"iglu:{_OWN}/unstruct_event/jsonschema/1-0-0", "data": described}
    return {"e": "ue", "p": "app", **told, "ue_pr": msgspec.json.encode(wrapped).decode()}


def _seen(request: Request) -> Event:
    """What is known of whoever sends, for columns that a payload does not fill."""
    seen = {
        "useragent": request.header("user-agent"),
        "page_url": request.header("referer") if request.method != "POST" else None,
    }
    if request.header("sp-anonymous") is None:
        seen["network_userid"] = request.network_user
        seen["user_ipaddress"] = request.visitor_address
    return {column: value for column, value in seen.items() if value}


def _enriched(payload: Event, request: Request, seen: Mapping[str, object]) -> Event:
    """The event of one payload, as enrichment would deliver it.

    Raises:
        Unreadable: its self-describing JSON is broken.
    """
    texts = {
        str(key): value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in payload.items()
        if value is not None and value != ""
    }
    event: Event = dict(seen)
    for parameter, column in COLUMN_OF.items():
        if parameter in texts:
            event[column] = read_column(column, texts[parameter])
    for parameter, (width, height) in SIZES.items():
        if size := _SIZE.fullmatch(texts.get(parameter, "")):
            event[width], event[height] = int(size[1]), int(size[2])
    if "e" not in texts:
        raise Unreadable("an event of no kind")
    event["event"] = KINDS.get(texts["e"], texts["e"])
    _add_url(event, "page", event.get("page_url"))
    _add_url(event, "refr", event.get("page_referrer"))
    _add_instants(event, texts, request.received_at)
    if request.header("sp-anonymous") is not None:
        event.pop("network_userid", None)
        event.pop("user_ipaddress", None)
    _add_entities(event, texts)
    if not read_id(event.get("event_id")):
        who = next(filter(None, map(event.get, SNOWPLOW.identities)), None)
        told = {**texts, "who": who}
        told.pop("stm", None)
        instants = (read_instant(texts.get(one)) for one in ("ttm", "dtm"))
        happened = next((one for one in instants if one is not None), None)
        event["event_id"] = id_of(told, happened, request)
    return event


def _add_url(event: dict[str, object], prefix: str, url: object) -> None:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return
    found = {
        "scheme": parts.scheme,
        "host": parts.hostname,
        "port": port,
        "path": parts.path,
        "query": parts.query,
        "fragment": parts.fragment,
    }
    event.update({f"{prefix}_url{part}": value for part, value in found.items() if value})


def _add_instants(event: dict[str, object], texts: Mapping[str, str], received: int) -> None:
    created, sent = read_instant(texts.get("dtm")), read_instant(texts.get("stm"))
    told = read_instant(texts.get("ttm"))
    happened = corrected(created, sent, received) if told is None else believed(told, received)
    instants = {
        "collector_tstamp": received,
        "dvce_created_tstamp": created,
        "dvce_sent_tstamp": sent,
        "true_tstamp": told,
        "derived_tstamp": happened,
    }
    event.update({name: format_instant(one) for name, one in instants.items() if one is not None})


def _add_entities(event: dict[str, object], texts: Mapping[str, str]) -> None:
    own_name = "event" if event["event"] == "struct" else event["event"]
    schema: object = f"iglu:{_OWN}/{own_name}/jsonschema/1-0-0"
    wrapped: dict[str, object] = {}
    for column, plain, encoded in (("unstruct_event", "ue_pr", "ue_px"), ("contexts", "co", "cx")):
        if plain in texts:
            wrapped[column] = read_json(texts[plain])
        elif encoded in texts:
            wrapped[column] = read_json(from_base64(texts[encoded]))
    check_depth(wrapped)
    described = wrapped.get("unstruct_event")
    if event["event"] == "unstruct":
        data = described.get("data") if isinstance(described, dict) else None
        schema = data.get("schema") if isinstance(data, dict) else None
    match = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if match is None:
        raise Unreadable("an event without a schema")
    names = ("event_vendor", "event_name", "event_format", "event_version")
    event.update(zip(names, match.groups(), strict=True))
    entities = view(wrapped)
    event.update({key: value for key, value in entities.items() if key not in ENTITIES})
