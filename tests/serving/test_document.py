"""The OpenAPI document says what the running server does, for whatever it is asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from audience_dsl.instants import SECOND
from connectors.wall_clock import wall_clock
from dataflows.progress import Progress
from serving.collecting.openapi import collector_paths
from serving.collecting.paths import BATCHES, CALLS, NO_EVENTS
from serving.openapi import document
from tests.serving.asking import Server, new_key, project, pulled, server
from tests.serving.collected import SOURCES
from tests.serving.recorded import Turn, record

HOUR = 3_600 * SECOND

_OPERATIONS = (
    "GET /v1/audiences/{parent_model}/{user_id}",
    "POST /v1/audiences/{parent_model}",
    "POST /v1/tokens",
    "GET /v1/transitions",
    "GET /v1/collections/{collection}/records/{index}/{value}",
    "POST /v1/collections/{collection}/records",
    "GET /v1/syncs",
    "GET /v1/syncs/{sync}/log",
    "GET /v1/warehouse/{parent_model}",
    "GET /v1/warehouse/{parent_model}/pulls",
    "POST /v1/warehouse/{parent_model}/pulls",
    "GET /livez",
    "GET /readyz",
    # Of the collector, one of each kind.
    "POST /v1/batch",
    "POST /v1/t",
    "GET /i",
    "GET /pixel/v1/track",
    "GET /v1/pixel/track",
    "POST /v1/m",
    "GET /health",
    "POST /com.snowplowanalytics.snowplow/tp2",
    "GET /v1/projects/{write_key}/settings",
    "GET /sourceConfig/",
)
# Those that are answered by the same code as one of them.
_ALIKE = (
    "GET /com.snowplowanalytics.snowplow/tp2",
    "POST /beacon/v1/batch",
    "GET /ice.png",
    "GET /pixel/v1/page",
    *(f"GET /v1/pixel/{name}" for name in CALLS),
    *(f"POST /v1/{name}" for name in NO_EVENTS),
    *(f"POST /v1/{name}" for name in (*CALLS, *BATCHES)),
    *(f"POST /v1/{name[0]}" for name in CALLS),
)

_KNOWN = {
    "parent_model": "users",
    "user_id": "u1",
    "collection": "profiles",
    "index": "user_id",
    "value": "u1",
    "sync": "all",
    "write_key": "SEGMENT_WRITE_KEY",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    collections = {"profiles": {"parent_model": "users"}}
    root = tmp_path_factory.mktemp("here") / "project"
    loaded = project(root, sources=SOURCES, collections=collections)
    pulled(loaded, wall_clock())
    record(loaded, Turn("u1", "keen"), Turn("u2", "quiet"))
    keeping_up = Progress()
    keeping_up.tell_time(wall_clock() + HOUR, has_caught_up=True)
    with server(loaded, keeping_up) as one:
        yield one


@pytest.fixture(scope="module")
def schema(here: Server) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{here.url}/openapi.json")


def test_every_operation_is_looked_at() -> None:
    described = {
        f"{method.upper()} {path}"
        for path, item in document()["paths"].items()
        for method in item
        if method != "parameters"
    }
    # A stream has no end; it is looked at by `test_streams`.
    assert described == {*_OPERATIONS, *_ALIKE, "GET /openapi.json", "GET /v1/stream"}


def _takes_parameters(label: str) -> bool:
    method, _, path = label.partition(" ")
    item = document()["paths"][path]
    parameters = [*item.get("parameters", ()), *item[method.lower()].get("parameters", ())]
    return bool(parameters) and path not in collector_paths()


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        (label, mode)
        for label in _OPERATIONS
        for mode in GenerationMode
        # Without parameters, none can be wrong; what collectors are sent may be any.
        if mode is GenerationMode.POSITIVE or _takes_parameters(label)
    ],
)
def test_an_operation_does_what_the_document_says(
    here: Server, schema: schemathesis.BaseSchema, label: str, mode: GenerationMode
) -> None:
    method, _, path = label.partition(" ")
    is_collected = path in collector_paths()
    key = new_key(here.loaded, "admin")

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(schema[path][method].as_strategy(generation_mode=mode), st.booleans())
    def asked(case: schemathesis.Case, is_known: bool) -> None:
        # A parameter without any value is not in the URL, so nothing would be wrong with it.
        assume(all(value not in (None, [], {}) for value in (case.query or {}).values()))
        if is_known and case.path_parameters:
            known = {name: _KNOWN[name] for name in case.path_parameters.keys() & _KNOWN.keys()}
            case.path_parameters.update(known)
            if mode is GenerationMode.POSITIVE and "fields" in (case.query or {}):
                case.query["fields"] = "ltv"
            if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
                case.body.update({"fields": ["ltv"]} if "fields" in case.body else {})
        if mode is GenerationMode.POSITIVE and "after" in (case.query or {}):
            case.query["after"] = "1"  # one that an answer has given
        case.call_and_validate(
            headers={"Authorization": f"Bearer {key}"},
            params={"writeKey": "SEGMENT_WRITE_KEY", "source": "web"} if is_collected else None,
        )

    asked()


def test_the_document_is_there_for_everybody(here: Server) -> None:
    assert here.ask("/openapi.json").json()["info"]["title"] == "Usher"
