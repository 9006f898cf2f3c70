"""Which conditions count a record: the compiled matching says what each filter says."""

import json

from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.definitions import AllOf, AnyOf, Comparison, Filter, Negation
from audience_dsl.instants import read_instant
from audience_dsl.operators import holds
from connectors.sources.paths import parse_path, pluck
from connectors.sources.reader import EventReader
from tests.sources.shop import EVENTS, adds_up, order, page, project_of, read, reader_of, rows_of

EVENT = {
    "thing": {
        "type": "Thing Done",
        "properties": {
            "free": "properties.value",
            "text": {"column": "properties.value", "type": "string"},
            "number": {"column": "properties.value", "type": "number"},
            "flag": {"column": "properties.value", "type": "boolean"},
            "moment": {"column": "properties.value", "type": "timestamp"},
            "list": {"column": "properties.value", "type": "array"},
            "other": {"column": "properties.other", "type": "number"},
        },
    }
}

_texts = st.sampled_from(["", "a", "A", "ab", "b", "1", "1.0", "2", "true", "?", "??", "é"])
_numbers = st.sampled_from(
    [0, 1, 1.0, -1, 2, 2.5, 3, 2**53, 2**53 + 1, float(2**53), 10**400, 1e308]
)
_small = st.sampled_from([-1, 0, 1, 1.5, 2, 2**53 + 1])
_moments = st.sampled_from(["2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z", "2026-03-02T00:00:00Z"])
_values = st.one_of(
    st.none(), st.booleans(), _texts, _numbers, _moments, st.lists(st.sampled_from(["a", 1, True]))
)


def _comparison(column, *operands):
    return st.one_of(
        [
            st.fixed_dictionaries({"property": st.just(column), operator: value})
            for operator, value in operands
        ]
    )


def _pairs(values):
    return st.tuples(values, values).map(sorted).filter(lambda pair: pair[0] < pair[1])


_comparisons = st.one_of(
    _comparison("free", ("equals", _texts | _small | st.booleans()), ("exists", st.booleans()),
                ("not_equals", _texts | _small), ("in", st.lists(_texts, min_size=1, unique=True))),
    _comparison("text", ("equals", _texts), ("contains", _texts.filter(bool)),
                ("not_starts_with", _texts.filter(bool)), ("matches", st.just("^[ab]")),
                ("not_in", st.lists(_texts, min_size=1, unique=True)), ("exists", st.booleans())),
    _comparison("number", ("greater_than", _small), ("at_most", _small), ("equals", _small),
                ("between", _pairs(_small)), ("not_between", _pairs(_small))),
    _comparison("flag", ("is", st.booleans())),
    _comparison("moment", ("before", _moments), ("after", _moments),
                ("within_last", st.sampled_from(["1h", "2h"])), ("within_next", st.just("1d"))),
    _comparison("list", ("has_any", st.just(["a"])), ("has_none", st.just(["b", "a"]))),
    _comparison("other", ("less_than", _small), ("exists", st.booleans())),
)  # fmt: skip
_filters = st.recursive(
    _comparisons,
    lambda inner: st.one_of(
        [
            st.fixed_dictionaries({key: st.lists(inner, min_size=1, max_size=3)})
            for key in ("all", "any", "none")
        ]
    ),
    max_leaves=4,
)
_records = st.fixed_dictionaries(
    {"properties": st.fixed_dictionaries({}, optional={"value": _values, "other": _values})}
)


def _holds(where: Filter | None, record: object, properties: dict[str, str], at: int) -> bool:
    """The filter, looked at afresh for one record."""
    match where:
        case None:
            return True
        case Comparison(column):
            return holds(where, pluck(record, parse_path(properties[column])), at=at)
        case AllOf(of):
            return all(_holds(one, record, properties, at) for one in of)
        case AnyOf(of):
            return any(_holds(one, record, properties, at) for one in of)
        case Negation(inner):
            return not _holds(inner, record, properties, at)


@given(
    st.lists(_filters, min_size=1, max_size=4),
    st.lists(st.lists(_records, max_size=6), min_size=1, max_size=3),
)
def test_a_record_is_counted_by_the_conditions_whose_filter_holds(filters, batches):
    audiences = {
        f"a{number}": {"performed": "thing", "where": where, "within": f"{number + 1}m"}
        for number, where in enumerate(filters)
    }
    project = project_of(audiences, events=EVENT)
    model = project.events["thing"]
    properties = {alias: one.path for alias, one in model.properties.items()}
    plan = project.plans["users"]
    reader = EventReader(project.events, project.plans, format="segment")
    for records in batches:  # a reader remembers what it has seen
        events = [
            page(**record, type="track", event="Thing Done", messageId=str(place))
            for place, record in enumerate(records)
        ]
        batch = read(reader, *events)
        found = {int(row["id"]): row["conditions"] for row in rows_of(batch)}
        for place, event in enumerate(events):
            at = read_instant(event["timestamp"])
            assert at is not None
            expected = [
                number
                for number, condition in enumerate(plan.conditions)
                if _holds(condition.where, json.loads(json.dumps(event)), properties, at)
            ]
            assert list(found.get(place, ())) == expected, event
        assert adds_up(batch)


def test_true_is_not_one_also_when_both_are_asked_for():
    audiences = {
        "flag": {"performed": "order", "where": {"value": True}, "within": "1h"},
        "number": {"performed": "order", "where": {"value": 1}, "within": "1h"},
    }
    reader = reader_of(audiences)
    values = (1, True, 1.0, True, 1)
    rows = rows_of(read(reader, *(order(value=value) for value in values)))
    found = [row["conditions"] for row in rows]
    assert found[0] == found[2] == found[4] != found[1] == found[3]
    assert all(len(conditions) == 1 for conditions in found)


def test_values_without_end_are_forgotten_again():
    audiences = {
        "sale": {
            "performed": "page_viewed",
            "where": {"path": {"contains": "sale"}},
            "within": "1h",
        }
    }
    reader = reader_of(audiences)
    for start in range(0, 150_000, 10_000):
        paths = [
            f"/{number}" + "sale" * (number % 3 == 0) for number in range(start, start + 10_000)
        ]
        batch = read(reader, *(page(properties={"path": path}) for path in paths))
        assert sum(row["tallied"] for row in rows_of(batch)) == sum(
            path.endswith("sale") for path in paths
        )


def test_event_names_without_end_are_forgotten_again():
    reader = reader_of({"orders": {"performed": "order", "within": "1h"}})
    for start in range(0, 140_000, 20_000):
        names = [f"Event {number}" for number in range(start, start + 20_000)]
        batch = read(reader, *({"type": "track", "event": name} for name in names), order())
        assert (batch.ignored, len(rows_of(batch))) == (20_000, 1)


def test_every_event_of_the_parent_model_is_an_input_counted_or_not():
    audiences = {"quiet": {"did_not_perform": "order", "within": "30m"}}
    batch = read(reader_of(audiences), page("u1"), order(), {"type": "screen"})
    assert [(row["conditions"], row["tallied"]) for row in rows_of(batch)] == [
        ((), False),
        ((0,), True),
    ]
    assert (batch.received, batch.ignored) == (3, 2)


def test_an_implicit_condition_counts_but_its_record_is_reported_as_ignored():
    audiences = {
        "seen": {
            "parent_model": "users",
            "members": "seen",
            "where": {"performed": "order", "within": "30m"},
        }
    }
    batch = read(reader_of(audiences), page("u1"), order())
    assert [(len(row["conditions"]), row["tallied"]) for row in rows_of(batch)] == [
        (1, False),
        (2, True),
    ]
    assert (batch.received, batch.ignored) == (2, 1)


def test_two_parent_models_hear_the_same_record_and_it_is_counted_once():
    events = {
        "page_viewed": EVENTS["page_viewed"],
        "account_page": {"type": "page", "parent_model": "accounts", "foreign_key": "groupId"},
    }
    audiences = {
        "users_pages": {"performed": "page_viewed", "within": "1h"},
        "accounts_pages": {
            "parent_model": "accounts",
            "where": {"performed": "account_page", "within": "1h"},
        },
    }
    reader = reader_of(audiences, events=events, parent_models=("users", "accounts"))
    batch = read(reader, page("u1", groupId="g1"), page("u2"), page(None, groupId="g3"), page(None))
    assert [(row["user"], row["tallied"]) for row in rows_of(batch)] == [("u1", True), ("u2", True)]
    assert [(row["user"], row["tallied"]) for row in rows_of(batch, "accounts")] == [
        ("g1", False),
        ("g3", True),
    ]
    assert [one.line for one in batch.dead_letters] == [4]
    assert adds_up(batch)


def test_event_models_that_read_a_record_differently_make_an_event_each():
    events = {
        "by_user": {"type": "page"},
        "by_visitor": {"type": "page", "foreign_key": "anonymousId"},
        "by_sent": {"type": "page", "timestamp": "sentAt"},
    }
    audiences = {key: {"performed": key, "within": "1h"} for key in events}
    reader = reader_of(audiences, events=events)
    at = "2026-03-01T10:00:00.000Z"
    batch = read(
        reader,
        page("u1", anonymousId="v1", sentAt="2026-03-01T10:00:01Z"),
        page("u2", anonymousId="u2", sentAt=at),
    )
    rows = rows_of(batch)
    assert [(row["user"], len(row["conditions"]), row["tallied"]) for row in rows] == [
        ("u1", 1, True),
        ("v1", 1, False),
        ("u1", 1, False),
        ("u2", 3, True),
    ]
    assert adds_up(batch)
