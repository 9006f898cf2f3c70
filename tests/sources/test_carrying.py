"""What an event brings along to deliveries, beside its message id."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.reader import EventReader
from engine.cargo import loaded, unloaded
from engine.hashing import stable_hashes
from engine.texts import Texts
from tests.sources.shop import PAGES, page, project_of, read

EVENTS = {
    "page_viewed": {"type": "page", "properties": {"path": "properties.path", "n": "properties.n"}},
    "order": {
        "type": "Order Completed",
        "properties": {
            "total": {"column": "properties.total", "type": "number"},
            "at": {"column": "properties.at", "type": "timestamp"},
            "path": "properties.landing.path",
            "cart": "properties.cart",
        },
    },
}


def brought(*records: dict[str, object], carried: tuple[str, ...]) -> list[tuple[str, object]]:
    project = project_of(PAGES, events=EVENTS)
    reader = EventReader(
        project.events, project.plans, format="segment", carried={"users": carried}
    )
    inputs = read(reader, *records).inputs["users"]
    found = [unloaded(text) for text in inputs.message_ids.tolist()]
    assert (
        inputs.message_hashes.tolist()
        == stable_hashes(Texts.of([id_ for id_, _ in found])).tolist()
    )
    return [(id_, None if text is None else json.loads(text)) for id_, text in found]


def order(properties: dict[str, object], message_id: str = "m2") -> dict[str, object]:
    return page(type="track", event="Order Completed", messageId=message_id, properties=properties)


def test_the_named_properties_come_along_as_their_model_declares_them() -> None:
    records = [
        page(properties={"path": "/a", "n": {"x": [1, None]}}),
        order({"total": "12.50", "at": 1_772_359_200, "landing": {"path": "/l"}}),
        order({"total": "much", "cart": "not asked for"}, "m3"),
    ]

    assert brought(*records, carried=("path", "n", "total", "at")) == [
        ("m1", {"path": "/a", "n": {"x": [1, None]}}),
        ("m2", {"total": 12.5, "at": "2026-03-01T10:00:00.000000Z", "path": "/l"}),
        ("m3", None),
    ]


def test_nothing_comes_along_where_no_mapping_asks() -> None:
    assert brought(page(properties={"path": "/a"}), carried=()) == [("m1", None)]


def test_a_very_long_value_stays_behind() -> None:
    record = page(properties={"path": "x" * 5_000, "n": 1})

    assert brought(record, carried=("path", "n")) == [("m1", {"n": 1})]


def test_an_id_with_separators_stays_whole() -> None:
    for id_ in ("a\x1fb", "a\x1f", '\x1f{"path":"/forged"}'):
        record = page(messageId=id_, properties={"path": "/a"})
        assert brought(record, carried=("path",))[0] == (id_.strip(), {"path": "/a"})
        assert brought(record, carried=())[0] == (id_.strip(), None)


@given(st.lists(st.tuples(st.text(), st.none() | st.just('{"a":1}')), min_size=1))
def test_ids_are_unloaded_as_they_were_loaded(given: list[tuple[str, str | None]]) -> None:
    ids = Texts.of([id_ for id_, _ in given])
    found = loaded(ids, [cargo for _, cargo in given]).tolist()

    assert [unloaded(text) for text in found] == given
