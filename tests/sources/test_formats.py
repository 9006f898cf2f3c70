"""The vendors' pipeline forms, from real captures."""

import json
from dataclasses import replace

import pytest

from audience_dsl.instants import read_instant
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.detect import detect
from connectors.sources.reader import EventReader
from connectors.sources.recorded import find_files, read_files
from connectors.sources.snowplow import entity_key, names_of, read_line
from tests.sources.shop import (
    CAPTURES,
    PAGES,
    adds_up,
    chunk_of,
    project_of,
    read,
    reader_of,
    rows_of,
)

FILES = {
    "segment": "segment-s3.ndjson",
    "rudderstack": "rudderstack-kafka.ndjson",
    "hightouch": "hightouch-events.ndjson",
    "snowplow": "snowplow-enriched.ndjson",
}


def chunk_from(name):
    (chunk,) = read_files(find_files([CAPTURES / name]))
    return chunk


@pytest.mark.parametrize("name", ["segment", "rudderstack", "hightouch"])
def test_archives_of_segments_family_are_read(name):
    chunk = chunk_from(FILES[name])
    records = [json.loads(chunk.line(n)) for n in range(chunk.count)]
    batch = reader_of({**PAGES, "orders": {"performed": "order", "within": "1h"}}, None).read(
        chunk, ArrivalPolicy.EVENT
    )
    asked = [
        one for one in records if one["type"] == "page" or one.get("event") == "Order Completed"
    ]
    rows = rows_of(batch)
    assert [row["id"] for row in rows] == [one["messageId"] for one in asked if one.get("userId")]
    assert len(batch.dead_letters) == sum(not one.get("userId") for one in asked)
    assert len(rows) > 3
    assert adds_up(batch)


@pytest.mark.parametrize(
    ("format", "name"), [*FILES.items(), ("snowplow", "snowplow-enriched.tsv")]
)
def test_the_format_is_detected(format, name):
    assert detect(chunk_from(name)) == format


def test_without_any_sign_the_format_is_segments():
    assert detect(chunk_of(b"nonsense", {"a": 1})) == "segment"


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="the formats are segment, rudderstack"):
        reader_of(format="avro")


def test_a_malformed_path_is_refused():
    project = project_of(PAGES)
    events = {key: replace(one, foreign_key="a[") for key, one in project.events.items()}
    with pytest.raises(ValueError, match="is not a path"):
        EventReader(events, project.plans, format="segment")


SNOWPLOW = {
    "page": {"type": "page_view", "properties": {"plan": "contexts_com_acme_user_1[0].plan"}},
    "order": {
        "type": "order_completed",
        "properties": {
            "total": "unstruct_event_com_acme_order_completed_1.total",
            "short": "unstruct_event.total",
            "lossless": "unstruct_event.data.data.total",
        },
    },
    "full_order": {"type": "com.acme/order_completed"},
    "basket": {"type": "add-to-basket", "properties": {"label": "se_label"}},
}
SNOWPLOW_AUDIENCES = {
    "free": {"performed": "page", "where": {"plan": "free"}, "within": "1h"},
    "dear": {"performed": "order", "where": {"total": {"greater_than": 90}}, "within": "1h"},
    "full": {"performed": "full_order", "within": "1h"},
    "basket": {"performed": "basket", "where": {"label": {"exists": True}}, "within": "1h"},
}


def test_all_forms_of_snowplow_mean_the_same():
    lines = chunk_from("snowplow-enriched.tsv")
    objects = [read_line(lines.line(n)) for n in range(lines.count)]
    lossless = [
        {
            key: value
            for key, value in one.items()
            if not key.startswith(("unstruct_event_", "contexts_"))
        }
        for one in objects
    ]
    found = [
        rows_of(
            reader_of(SNOWPLOW_AUDIENCES, None, events=SNOWPLOW).read(chunk, ArrivalPolicy.EVENT)
        )
        for chunk in (lines, chunk_from("snowplow-enriched.ndjson"), chunk_of(*lossless))
    ]
    assert found[0] == found[1] == found[2]
    assert {number for row in found[0] for number in row["conditions"]} == {0, 1, 2, 3}
    assert len(found[0]) > 10


def test_a_line_of_columns_is_what_the_vendors_library_makes_of_it():
    lines = chunk_from("snowplow-enriched.tsv")
    objects = chunk_from("snowplow-enriched.ndjson")
    for place in range(lines.count):
        event = read_line(lines.line(place))
        for key, value in json.loads(objects.line(place)).items():
            match key.rpartition("_"):
                case ("se", _, "value"):  # an old library leaves it a text
                    assert event[key] == float(value)
                case (_, _, "tstamp"):
                    assert read_instant(event[key]) == read_instant(value)
                case _:
                    assert event[key] == value


@pytest.mark.parametrize("alias", ["total", "short", "lossless"])
def test_the_fields_of_an_event_have_names_that_do_not_depend_on_its_form(alias):
    audiences = {"dear": {"performed": "order", "where": {alias: 99.5}, "within": "1h"}}
    matched = []
    for name in ("snowplow-enriched.tsv", "snowplow-enriched.ndjson"):
        batch = reader_of(audiences, None, events=SNOWPLOW).read(
            chunk_from(name), ArrivalPolicy.EVENT
        )
        matched.append([row["id"] for row in rows_of(batch) if row["conditions"]])
    if alias != "lossless":  # which the vendor's library has thrown away
        assert matched[0] == matched[1]
    assert matched[0]


def test_too_few_columns_are_a_dead_letter():
    batch = read(reader_of(PAGES, "snowplow"), b"shop\tweb\t")
    assert "3 columns" in batch.dead_letters[0].reason


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (("page_view", "page_view", "v", None), ("page_view",)),
        (("struct", "event", "v", "buy"), ("buy",)),
        (("struct", "event", "v", None), ()),
        (("unstruct", "order", "com.acme", None), ("order", "com.acme/order")),
        (("unstruct", None, None, None), ()),
        ((None, None, None, None), ()),
    ],
)
def test_what_a_snowplow_event_answers_to(values, names):
    assert names_of(values) == names


@pytest.mark.parametrize(
    ("schema", "key"),
    [
        ("iglu:com.acme/order_completed/jsonschema/1-0-2", "com_acme_order_completed_1"),
        ("iglu:com.acme-x/orderCompleted/jsonschema/12-0-0", "com_acme_x_order_completed_12"),
        ("iglu:com.acme/order", None),
        (5, None),
    ],
)
def test_the_key_of_a_self_describing_entity(schema, key):
    assert entity_key(schema) == key


def test_only_models_of_the_source_apply_unless_none_is_named():
    project = project_of(PAGES)
    line = {"type": "page", "userId": "u", "timestamp": 0, "messageId": "m"}
    for source, count in (("web", 1), ("other", 0), (None, 1)):
        batch = read(EventReader(project.events, project.plans, source, "segment"), line)
        assert (len(rows_of(batch)), batch.ignored) == (count, 1 - count)
