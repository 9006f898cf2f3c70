"""Requests of real clients, and of hostile ones, as events of the pipeline."""

import base64
import gzip
import json
import sys
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.instants import read_instant
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.requests.calls import open_calls, read_calls
from connectors.sources.requests.payloads import read_payloads
from connectors.sources.requests.request import (
    MOST_BYTES,
    MOST_EVENT_BYTES,
    MOST_EVENTS,
    MOST_REQUEST_BYTES,
    Received,
    Request,
    TooLong,
    write_key_of,
)
from tests.sources.shop import CAPTURES, chunk_of, reader_of, rows_of

NOW = 1_772_359_200_000_000  # 2026-03-01T10:00:00Z


def captured():
    with gzip.open(Path(CAPTURES) / "requests.jsonl.gz") as file:
        return [json.loads(line) for line in file]


def request_of(record):
    if "body_base64" in record:
        body = base64.b64decode(record["body_base64"])
    else:
        body = record["body"].encode("utf-8", "surrogatepass")
    received = read_instant(record["received_at"])
    assert received is not None
    query = [(key, value) for key, value in record["query"]]
    headers = [(key, value) for key, value in record["headers"]]
    return Request(record["method"], record["path"], query, headers, body, received)


def read_request(request, vendor):
    if vendor == "snowplow":
        return read_payloads(request)
    content, rejected = open_calls(request)
    if content is None:
        return Received(rejected=rejected)
    return read_calls(request, content, vendor)


def post(body, path="/v1/batch", vendor="segment", headers=(), query=()):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(Request("POST", path, query, headers, content, NOW), vendor)


def event(received):
    assert received.rejected == []
    (only,) = received.events
    return only


@pytest.mark.parametrize("client", sorted({record["client"] for record in captured()}))
def test_every_request_of_real_clients_is_read(client):
    records = [record for record in captured() if record["client"] == client]
    assert sum(record["events"] for record in records) > 10
    for record in records:
        received = read_request(request_of(record), record["format"])
        assert len(received.events) == record["events"]
        assert received.rejected == []
        for one in received.events:
            if record["format"] == "snowplow":
                assert {"event", "event_id", "collector_tstamp", "derived_tstamp"} <= one.keys()
                assert one["event_name"]
                assert str(one["derived_tstamp"]) <= str(one["collector_tstamp"])
            else:
                assert {"type", "messageId", "receivedAt", "timestamp"} <= one.keys()
                assert str(one["timestamp"]) <= str(one["receivedAt"])


def test_events_of_requests_go_through_the_reader():
    for record in captured():
        if not record["events"]:
            continue
        received = read_request(request_of(record), record["format"])
        batch = reader_of(format=None).read(chunk_of(*received.events), ArrivalPolicy.RECORDED)
        assert not any("JSON" in one.reason for one in batch.dead_letters)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/t", "track"),
        ("/v1/p", "page"),
        ("/v1/track", "track"),
        ("/in/v1/identify/", "identify"),
    ],
)
def test_the_type_comes_from_the_path_where_the_event_has_none(path, kind):
    assert event(post({"event": "x"}, path))["type"] == kind
    assert event(post({"type": "screen"}, path))["type"] == "screen"


@pytest.mark.parametrize("path", ["/v1/m", "/v1/projects/k/settings", "/health", "/", "/v1/merge"])
def test_a_request_without_events_yields_nothing(path):
    received = post({"batch": [{}]}, path)
    assert (received.events, received.rejected) == ([], [])


@pytest.mark.parametrize(
    ("call", "envelope", "time"),
    [
        # The client's clock is 55 s behind.
        ({"timestamp": "2026-03-01T09:59:00Z"}, {"sentAt": "2026-03-01T09:59:05Z"}, "09:59:55"),
        # Some seconds are the way.
        ({"timestamp": "2026-03-01T09:59:50Z"}, {"sentAt": "2026-03-01T09:59:55Z"}, "09:59:50"),
        ({"timestamp": "2026-03-01T09:59:50Z"}, {"sentAt": "2026-03-01T10:00:05Z"}, "09:59:50"),
        # An hour ahead.
        ({"timestamp": "2026-03-01T10:59:50Z"}, {"sentAt": "2026-03-01T11:00:00Z"}, "09:59:50"),
        ({"timestamp": "2026-03-01T09:59:00Z", "sentAt": "2026-03-01T09:59:05Z"}, {}, "09:59:55"),
        ({"timestamp": "2026-03-01T09:59:50Z"}, {}, "09:59:50"),
        ({"timestamp": "2026-03-01T10:00:50Z"}, {}, "10:00:00"),  # never in the future
        ({"timestamp": "2026-03-01T09:59:50Z"}, {"sentAt": "1970-01-01T00:00:00Z"}, "09:59:50"),
        ({"timestamp": "2026-03-01T09:59:50Z"}, {"sentAt": "nonsense"}, "09:59:50"),
        ({"timestamp": "nonsense"}, {"sentAt": "2026-03-01T09:59:55Z"}, "10:00:00"),
        ({}, {"sentAt": "2026-03-01T09:59:55Z"}, "10:00:00"),
    ],
)  # fmt: skip
def test_the_time_is_corrected_for_the_skew_of_the_clients_clock(call, envelope, time):
    found = event(post({"batch": [call], **envelope}))
    assert found["timestamp"] == f"2026-03-01T{time}.000000Z"
    assert found["receivedAt"] == "2026-03-01T10:00:00.000000Z"


def test_rudderstack_keeps_a_timestamp_and_corrects_an_original_one():
    sent = {"sentAt": "2026-03-01T09:59:05Z"}
    kept = post({"batch": [{"timestamp": "2026-03-01T09:59:00Z"}], **sent}, vendor="rudderstack")
    mended = post(
        {"batch": [{"originalTimestamp": "2026-03-01T09:59:00Z"}], **sent}, vendor="rudderstack"
    )
    assert event(kept)["timestamp"] == "2026-03-01T09:59:00.000000Z"
    assert event(mended)["timestamp"] == "2026-03-01T09:59:55.000000Z"
    by_header = post(
        {"originalTimestamp": "2026-03-01T09:59:00Z"},
        "/v1/track",
        "rudderstack",
        [("SentAt", "2026-03-01T09:59:05Z")],
    )
    assert event(by_header)["timestamp"] == "2026-03-01T09:59:55.000000Z"


def test_imported_history_keeps_its_time():
    body = {"batch": [{"timestamp": "2020-01-01T00:00:00Z"}], "sentAt": "2026-03-01T09:00:00Z"}
    assert event(post(body, "/v1/import"))["timestamp"] == "2020-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("call", "envelope", "time"),
    [
        # Clients that send all they have there; their clock is an hour ahead, or behind.
        ("2026-03-01T10:59:50Z", {"sentAt": "2026-03-01T11:00:00Z"}, "2026-03-01T09:59:50"),
        ("2026-03-01T08:59:50Z", {"sentAt": "2026-03-01T09:00:00Z"}, "2026-03-01T09:59:50"),
        # What has waited on a phone for some days.
        ("2026-02-26T09:00:00Z", {"sentAt": "2026-03-01T09:00:00Z"}, "2026-02-26T10:00:00"),
        # Scripts whose clock is right, or that say nothing of it, or that repeat old requests.
        ("2026-02-26T09:00:00Z", {"sentAt": "2026-03-01T09:59:55Z"}, "2026-02-26T09:00:00"),
        ("2026-02-26T09:00:00Z", {}, "2026-02-26T09:00:00"),
        ("2026-02-01T08:59:50Z", {"sentAt": "2026-02-01T09:00:00Z"}, "2026-02-01T08:59:50"),
    ],
)
def test_what_is_imported_is_corrected_where_a_client_says_when_it_was_sent(call, envelope, time):
    body = {"batch": [{"timestamp": call}], **envelope}
    assert event(post(body, "/v1/import"))["timestamp"] == f"{time}.000000Z"


def test_imported_history_may_say_itself_when_it_was_sent():
    call = {"timestamp": "2026-02-26T09:00:00Z", "sentAt": "2026-02-26T09:00:01Z"}
    found = event(post({"batch": [call]}, "/v1/import"))
    assert found["timestamp"] == "2026-02-26T09:00:00.000000Z"


@pytest.mark.parametrize(
    ("path", "vendor"),
    [("/v1/batch", "segment"), ("/v1/import", "segment"), ("/v1/batch", "rudderstack")],
)
def test_no_event_happens_after_it_was_received(path, vendor):
    early, late = "2026-03-01T09:00:00.000000Z", "2026-03-01T11:00:00.000000Z"
    calls = [{"timestamp": early}, {"timestamp": late}]
    found = post({"batch": calls}, path, vendor).events
    assert [one["originalTimestamp"] for one in found] == [early, late]
    assert [one["timestamp"] for one in found] == [early, "2026-03-01T10:00:00.000000Z"]


def test_nor_does_one_whose_tracker_says_that_its_time_is_true():
    for told, happened in (("1772355600000", "09:00:00"), ("1772362800000", "10:00:00")):
        found = event(payload(e="pv", ttm=told))
        assert found["derived_tstamp"] == f"2026-03-01T{happened}.000000Z"
        assert read_instant(found["true_tstamp"]) == int(told) * 1_000


def test_one_bad_event_does_not_fail_its_batch():
    received = post(
        {"batch": [{"event": "a"}, 5, None, [], "x", {"event": "b", "x": "y" * 70_000}, {}]}
    )
    assert len(received.events) == 2
    assert len(received.rejected) == 5


def test_a_call_without_an_id_has_the_same_one_each_time_it_is_sent():
    call = {"event": "a", "timestamp": "2026-03-01T08:59:00Z"}
    first = event(post({"batch": [call], "sentAt": "2026-03-01T09:00:00Z"}))
    again = event(post({"batch": [call], "sentAt": "2026-03-01T09:00:09Z"}))
    assert first["messageId"] == again["messageId"]
    assert event(post({"batch": [{**call, "event": "b"}]}))["messageId"] != first["messageId"]


def test_an_id_may_be_a_number():
    for id in (7, "7", " 7 ", 2**63):
        call = {"type": "page", "userId": "u1", "messageId": id}
        found = [event(post(call, "/v1/page")) for _ in range(2)]
        assert [one["messageId"] for one in found] == [id, id]
        rows = rows_of(reader_of().read(chunk_of(*found), ArrivalPolicy.RECORDED))
        assert [row["id"] for row in rows] == [str(id).strip()] * 2


@pytest.mark.parametrize("id", ["", "  ", None, True, 1.5, [], {"a": 1}])
def test_an_id_that_is_none_is_made_of_the_content(id):
    call = {"event": "a", "messageId": id, "timestamp": "2026-03-01T08:59:00Z"}
    first, again, other = (
        event(post(one, "/v1/track"))["messageId"] for one in (call, call, {**call, "event": "b"})
    )
    assert first == again != other
    assert len(first) == 32
    told = {"e": "pv", "dtm": "1772359130000", "eid": "  "}
    assert len(event(payload(**told))["event_id"]) == 32


def test_calls_that_say_neither_an_id_nor_a_time_are_as_many_as_come():
    call = {"userId": "u1", "event": "Pricing Viewed"}
    assert len({event(post(call, "/v1/track"))["messageId"] for _ in range(3)}) == 3


def asked(path, network_user="", headers=(), **parameters):
    query = list(parameters.items())
    request = Request("GET", path, query, headers, b"", NOW, network_user=network_user)
    return read_request(request, "snowplow")


def pixel(network_user="", headers=(), **parameters):
    return event(asked("/i", network_user, headers, **parameters))


def seen(path, method="GET", **parameters):
    query = [(name.replace("__", "."), value) for name, value in parameters.items()]
    return read_request(Request(method, path, query, [], b"", NOW), "segment")


MAIL = {"userId": "u1", "event": "Mail Opened", "properties": {"subject": "Spring ~~?>"}}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"userId": "u1", "event": "Mail Opened", "properties__subject": "Spring ~~?>"},
        {"userId": "u1", "event": "Mail Opened", "properties": '{"subject": "Spring ~~?>"}'},
        {"data": json.dumps({**MAIL, "writeKey": "k"})},
        {"data": base64.b64encode(json.dumps(MAIL).encode()).decode()},
        {"data": base64.b64encode(json.dumps(MAIL).encode()).decode().replace("+", " ")},
        {"data": base64.urlsafe_b64encode(json.dumps(MAIL).encode()).decode().rstrip("=")},
    ],
)
def test_a_pixel_has_a_call_in_its_query(method, parameters):
    found = event(seen("/v1/pixel/track", method, writeKey="k", **parameters))
    assert found | MAIL | {"type": "track"} == found
    assert "writeKey" not in found
    assert event(seen("/v1/pixel/identify", method, **parameters))["type"] == "identify"


def test_parameters_with_dots_lead_into_the_event():
    told = {"context__page__url": "/a", "context__page__title": "A", "context__library": "x"}
    for path in ("/v1/pixel/page", "/pixel/v1/page"):
        found = event(seen(path, **told))
        assert found["context"] == {"page": {"url": "/a", "title": "A"}, "library": "x"}
    # Of two for one value the first holds.
    assert event(seen("/v1/pixel/page", a="1", a__b="2"))["a"] == "1"
    assert event(seen("/v1/pixel/page", a__b="2", a="1"))["a"] == {"b": "2"}


def test_an_id_in_quotes_is_what_stands_in_them():
    for told, id in (('"amp-1"', "amp-1"), ("amp-1", "amp-1"), ('"', '"'), ('a"b"', 'a"b"')):
        assert event(seen("/pixel/v1/page", anonymousId=told))["anonymousId"] == id
    assert event(seen("/pixel/v1/page", name='"Home"'))["name"] == '"Home"'


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"data": "%%%"}, "damaged base64"),
        ({"data": ""}, "not JSON"),
        ({"data": base64.b64encode(json.dumps(MAIL).encode()).decode()[:32]}, "not JSON"),
        ({"data": base64.b64encode(b"[1]").decode()}, "not a JSON object"),
        ({"data": base64.b64encode(b'{"a":' * 9_000).decode()}, "nested too deeply"),
        ({"__".join("a" * 30_000): "1"}, "nested too deeply"),
        ({"__".join("a" * 70): "1"}, "nested too deeply"),
    ],
)
def test_a_pixel_that_cannot_be_read_is_rejected_with_a_reason(parameters, reason):
    received = seen("/v1/pixel/track", **parameters)
    assert received.events == []
    (letter,) = received.rejected
    assert letter.reason.startswith(reason)
    assert len(letter.excerpt) <= 200


def test_pixels_without_an_id_are_as_many_as_visitors_see():
    timeless = {"e": "pv", "aid": "shop"}
    assert len({pixel(**timeless)["event_id"] for _ in range(3)}) == 3
    timed = {**timeless, "dtm": "1772359130000"}
    ids = [pixel(who, **timed)["event_id"] for who in ("n1", "n1", "n2")]
    assert ids[0] == ids[1] != ids[2]
    told = [pixel(nuid=who, **timed)["event_id"] for who in ("n1", "n1", "n2")]
    assert told[0] == told[1] != told[2]
    # Who is known otherwise may have had another cookie when it was sent for the first time.
    assert len({pixel(who, duid="d1", **timed)["event_id"] for who in ("n1", "n2")}) == 1


def test_half_characters_and_numbers_that_are_none_are_read():
    body = b'{"batch":[{"event":"\\ud83d","x":NaN,"y":1e999,"z":123456789012345678901234567890}]}'
    found = event(post(body))
    assert (found["event"], found["x"], found["y"]) == ("\ufffd", None, None)
    json.dumps(found)


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_a_byte_order_mark_is_passed_over(packed):
    body = packed(b'\xef\xbb\xbf{"batch":[{"event":"a"}],"data":[{"e":"pv"}]}')
    assert event(post(body))["event"] == "a"
    assert event(post(body, vendor="snowplow"))["event"] == "page_view"


def test_gzip_is_seen_whatever_the_headers_say():
    body = json.dumps({"batch": [{"event": "a"}]}).encode()
    assert event(post(gzip.compress(body, mtime=0)))["event"] == "a"
    members = gzip.compress(body[:9], mtime=0) + gzip.compress(body[9:], mtime=0)
    assert event(post(members))["event"] == "a"
    assert event(post(body, headers=[("Content-Encoding", "gzip")]))["event"] == "a"


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"{}", mtime=0)[:-4],
        b"\x1f\x8bnonsense",
        zlib.compress(b"{}"),
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"batch":{}}',
        b'{"a":' * 50_000,
        b'{"batch":[' + b'{"a":"\\ud83d","b":' * 600 + b"1" + b"}" * 600 + b"]}",
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("vendor", ["segment", "snowplow"])
def test_what_cannot_be_read_is_rejected_with_a_reason(body, vendor):
    received = post(body, vendor=vendor)
    assert received.events == []
    assert received.rejected[0].reason
    assert len(received.rejected[0].excerpt) <= 200


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"0" * 50_000_000, mtime=0),
        gzip.compress(b"0" * 3_000_000, mtime=0) * 9,
        b" " * (MOST_BYTES + 1),
    ],
)
@pytest.mark.parametrize("vendor", ["segment", "snowplow"])
def test_what_is_too_long_is_not_read(body, vendor):
    with pytest.raises(TooLong, match="send fewer events in each"):
        post(body, vendor=vendor)


@pytest.mark.parametrize("vendor", ["segment", "snowplow"])
def test_batches_have_a_limit(vendor):
    items = [{"e": "pv"}] * MOST_EVENTS
    assert len(post({"batch": items, "data": items}, vendor=vendor).events) == MOST_EVENTS
    items.append({"e": "pv"})
    with pytest.raises(TooLong):
        post({"batch": items, "data": items}, vendor=vendor)


def test_what_a_batch_says_of_all_holds_where_an_event_says_nothing():
    shared = {"context": {"ip": "1.2.3.4", "app": "shop"}, "integrations": {"All": True}}
    calls = [{}, {"context": None}, {"context": [], "integrations": []}, {"context": {"app": "b"}}]
    found = post({**shared, "batch": calls}).events
    assert [one["context"]["app"] for one in found] == ["shop", "shop", "shop", "b"]
    assert [one["context"]["ip"] for one in found] == ["1.2.3.4"] * 4
    assert [one["integrations"] for one in found] == [{"All": True}] * 4
    assert event(post({**shared, "batch": [{"context": 5}]}))["context"] == 5


def test_what_a_batch_says_of_all_counts_with_each_event():
    context = {"a": "x" * (MOST_EVENT_BYTES - 1_000)}
    received = post({"context": context, "batch": [{"event": "a"}, {"event": "b" * 2_000}]})
    assert [one["event"] for one in received.events] == ["a"]
    (letter,) = received.rejected
    assert letter.reason == "longer than the 65,536 bytes that an event may have"
    assert letter.excerpt.startswith('{"event":"bbb')


def test_what_a_batch_says_of_all_is_nested_no_deeper_than_an_event_may_be():
    deep: list[object] = []
    for _ in range(70):
        deep = [deep]
    received = post({"context": {"a": deep}, "batch": [{"event": "a"}, {"event": "b"}]})
    assert [one.reason for one in received.rejected] == ["nested too deeply"] * 2
    assert received.events == []


def test_the_events_of_a_request_have_a_limit_written_out():
    context = {"a": "x" * 6_000}
    received = post({"context": context, "batch": [{"event": str(i)} for i in range(MOST_EVENTS)]})
    size = sum(len(json.dumps(one["context"])) for one in received.events)
    assert MOST_REQUEST_BYTES - 200_000 < size < MOST_REQUEST_BYTES
    assert len(received.events) + len(received.rejected) == MOST_EVENTS
    (reason,) = {one.reason for one in received.rejected}
    assert reason == "beyond the 16,777,216 bytes that a request may have"
    assert received.rejected[-1].excerpt == '{"event":"9999"}'


# Short bodies that would be long, each with the steps that may be taken for it.
LABOURS = {
    "a long context": {"context": {"a": [0] * 16_000}, "batch": [{}] * MOST_EVENTS},
    "many keys": {
        "context": {str(i): 0 for i in range(300_000)},
        "batch": [{"context": {"b": 1}}] * MOST_EVENTS,
    },
    "just as many as may be": {
        "context": {str(i): 0 for i in range(6_000)},
        "integrations": {"a": [0] * 2_000},
        "batch": [{"context": {"b": 1}}] * MOST_EVENTS,
    },
}


def steps_of(action):
    """Lines of Python: how much is done, on a machine however busy."""
    count = 0

    def step(_frame, what, _argument):
        nonlocal count
        count += what == "line"
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", LABOURS)
def test_a_short_body_is_little_work(name):
    body = json.dumps(LABOURS[name]).encode()
    assert len(body) < MOST_BYTES
    assert steps_of(lambda: post(body)) < 4_000_000


def test_an_unforeseen_fault_harms_one_event_alone():
    def new_id():
        raise LookupError("what a client has sent")

    body = json.dumps({"batch": [{"event": "a"}, {"event": "b", "messageId": "m"}]}).encode()
    request = Request("POST", "/v1/batch", [], [], body, NOW, new_id=new_id)
    received = read_request(request, "segment")
    assert [one["event"] for one in received.events] == ["b"]
    (letter,) = received.rejected
    assert (letter.reason, letter.excerpt) == ("a fault of ours, LookupError", '{"event":"a"}')


def test_a_correction_does_not_leave_the_calendar():
    late = {"batch": [{"timestamp": "0001-01-01T00:00:00Z"}], "sentAt": "2026-03-01T10:01:00Z"}
    assert event(post(late))["timestamp"] == "0001-01-01T00:00:00.000000Z"
    found = event(payload(e="pv", dtm="-62135596800000", stm="1772359260000"))
    assert found["derived_tstamp"] == "0001-01-01T00:00:00.000000Z"


def test_a_size_of_many_digits_is_none():
    found = event(payload(e="pv", res="1" * 5_000 + "x1", vp="800x600"))
    assert "dvce_screenwidth" not in found
    assert found["br_viewwidth"] == 800


@pytest.mark.parametrize(
    "call",
    [
        b'{"event":"a","b":' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"event":"a","b":' * 70 + b"1" + b"}" * 70,
    ],
)
def test_an_event_that_is_nested_too_deeply_is_rejected_alone(call):
    received = post(b'{"batch":[' + call + b',{"event":"b"}]}')
    assert [one["event"] for one in received.events] == ["b"]
    assert [one.reason for one in received.rejected] == ["nested too deeply"]


def test_a_short_body_does_not_become_a_long_one():
    call = {"event": "a", "padding": " " * 60_000}
    for count, is_taken in ((17, True), (18, False)):
        content = json.dumps({"batch": [call] * count}).encode()
        assert (len(content) < 1 << 20) == is_taken
        body = gzip.compress(content, mtime=0)
        assert len(body) < 10_000
        if is_taken:
            assert len(post(body).events) == count
    with pytest.raises(TooLong, match="a compressed body"):
        post(body)


def test_the_events_of_a_batch_may_be_much_alike():
    """A shop's nightly job, whose client sends 500 KB at once and ends its process at a refusal."""
    properties = {"plan": "starter", "region": "europe-west", "reason": "nightly recount"}
    calls = [
        {"type": "track", "event": "Recounted", "userId": f"u{i % 9}", "properties": properties}
        for i in range(4_000)
    ]
    content = json.dumps({"batch": calls}).encode()
    body = gzip.compress(content, mtime=0)
    assert 500_000 < len(content) < 600_000
    assert len(content) > 150 * len(body)
    assert len(post(body).events) == len(calls)


def test_a_body_in_many_members_is_not_put_together():
    member = gzip.compress(b"", mtime=0)
    began = time.process_time()
    received = post(member * (MOST_BYTES // len(member)))
    assert time.process_time() - began < 1
    assert received.rejected[0].reason == "gzip of more than 100 members"


@pytest.mark.parametrize(
    ("headers", "query", "body", "key"),
    [
        ([("authorization", "Basic " + base64.b64encode(b"key:").decode())], [], {}, "key"),
        ([("Authorization", "basic " + base64.b64encode(b"key").decode())], [], {}, "key"),
        ([("Authorization", "Basic: " + base64.b64encode(b"key").decode())], [], {}, "key"),
        ([("Authorization", "Basic a2V5MQ")], [], {}, "key1"),
        ([("Authorization", "Basic !!!")], [("writeKey", "q")], {"writeKey": "b"}, "q"),
        ([("Authorization", "Basic \xff")], [], {"writeKey": "b"}, "b"),
        ([("Authorization", "Bearer token")], [], {"writeKey": "b"}, "b"),
        ([], [], {"batch": [{"writeKey": "e"}]}, "e"),
        ([], [], {"writeKey": 5}, None),
        ([], [], b"nonsense", None),
    ],
)
def test_who_sends_is_told_by_the_write_key(headers, query, body, key):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request("POST", "/v1/batch", query, headers, content, NOW)
    assert write_key_of(request, open_calls(request)[0]) == key


def payload(**parameters):
    body = {"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"}
    return post({**body, "data": [parameters]}, "/com.acme/track", "snowplow")


ORDER = {
    "schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
    "data": {"schema": "iglu:com.acme/order/jsonschema/1-0-0", "data": {"total": 9.5}},
}


@pytest.mark.parametrize(
    "encoded",
    [
        {"ue_pr": json.dumps(ORDER)},
        {"ue_px": base64.b64encode(json.dumps(ORDER).encode()).decode()},
        {"ue_px": base64.urlsafe_b64encode(json.dumps(ORDER).encode()).decode().rstrip("=")},
        {"ue_px": base64.encodebytes(json.dumps(ORDER).encode()).decode().replace("\n", "\r\n")},
    ],
)
def test_self_describing_events_are_read_in_every_encoding(encoded):
    found = event(payload(e="ue", **encoded))
    assert (found["event"], found["event_name"], found["event_vendor"]) == (
        "unstruct",
        "order",
        "com.acme",
    )
    assert found["unstruct_event_com_acme_order_1"] == {"total": 9.5}
    got = pixel(e="ue", eid="e1", **encoded)
    assert got == event(payload(e="ue", eid="e1", **encoded))


def test_a_plus_that_became_a_space_is_one_again():
    text = json.dumps(ORDER).replace('{"total": 9.5}', '{"text": "~~~?>>>"}')
    encoded = base64.b64encode(text.encode()).decode()
    assert "+" in encoded
    found = pixel(e="ue", ue_px=encoded.replace("+", " "))
    assert found["unstruct_event_com_acme_order_1"] == {"text": "~~~?>>>"}


def test_a_query_without_a_kind_is_rejected():
    received = asked("/i", aid="shop", x="1")
    assert received.events == []
    (letter,) = received.rejected
    assert (letter.reason, letter.excerpt) == ("an event of no kind", '{"aid":"shop","x":"1"}')
    assert asked("/i") == Received()


def test_a_webhook_is_what_its_schema_describes():
    path = "/com.snowplowanalytics.iglu/v1"
    told = {"aid": "shop", "eid": "e1", "nuid": "n1", "url": "https://a/b"}
    schema = "iglu:com.acme/install/jsonschema/1-0-0"
    found = event(asked(path, schema=schema, campaign="spring", uid="7", **told))
    assert found["unstruct_event_com_acme_install_1"] == {"campaign": "spring", "uid": "7"}
    filled = {
        "event": "unstruct",
        "event_vendor": "com.acme",
        "event_name": "install",
        "app_id": "shop",
        "platform": "app",
        "event_id": "e1",
        "network_userid": "n1",
        "page_urlpath": "/b",
    }
    assert found | filled == found
    assert "user_id" not in found
    assert asked(path, schema="nonsense").rejected[0].reason == "an event without a schema"


def hooked(body, **query):
    path = "/com.snowplowanalytics.iglu/v1"
    return post(body, path, "snowplow", query=[("schema", INSTALL), *query.items()])


INSTALL = "iglu:com.acme/install/jsonschema/1-0-0"


def test_a_webhook_may_have_its_data_in_a_body():
    # The data may have anything, and are no parameters.
    data = {"campaign": {"name": "spring"}, "aid": "another", "e": "pv"}
    found = event(hooked(data, aid="shop", eid="e1"))
    assert found["unstruct_event_com_acme_install_1"] == data
    told = (found["event"], found["event_name"], found["app_id"], found["event_id"])
    assert told == ("unstruct", "install", "shop", "e1")
    several = hooked([{"a": 1}, 5, {"a": 2}], aid="shop")
    key = "unstruct_event_com_acme_install_1"
    assert [one[key] for one in several.events] == [{"a": 1}, {"a": 2}]
    assert [one.reason for one in several.rejected] == ["not a JSON object"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"a=b", "not JSON"),
        (b"null", "not a JSON object"),
        (b'{"a":' * 62 + b"1" + b"}" * 62, "nested too deeply"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "nested too deeply"),
        ({"a": "x" * MOST_EVENT_BYTES}, "longer than"),
    ],
)
def test_what_a_webhook_cannot_read_is_rejected(body, reason):
    received = hooked(body, aid="shop")
    assert received.events == []
    (letter,) = received.rejected
    assert letter.reason.startswith(reason)


def test_what_a_webhook_is_told_of_all_counts_with_each_event():
    received = hooked([{}] * MOST_EVENTS, aid="shop", url="x" * 6_000)
    assert 2_000 < len(received.events) < MOST_REQUEST_BYTES / 6_000
    assert len(received.events) + len(received.rejected) == MOST_EVENTS
    (reason,) = {one.reason for one in received.rejected}
    assert reason == "beyond the 16,777,216 bytes that a request may have"


def test_what_a_request_tells_fills_columns_that_its_payload_does_not():
    headers = [("User-Agent", "Browser/1"), ("Referer", "https://shop.example/a")]
    found = pixel(headers=headers, e="pv")
    assert (found["useragent"], found["page_urlpath"]) == ("Browser/1", "/a")
    found = pixel(headers=headers, e="pv", ua="Other/2", url="https://b/c")
    assert (found["useragent"], found["page_url"]) == ("Other/2", "https://b/c")
    found = event(post({"data": [{"e": "pv"}]}, "/com.acme/track", "snowplow", headers))
    assert found["useragent"] == "Browser/1"
    assert "page_url" not in found  # a page sends for itself, and for others within it


def test_parameters_fill_their_columns():
    found = event(
        payload(
            e="pv", url="https://shop.example/a?q=1#f", page="A", aid="shop", vid="3",
            res="1280x720", uid="u1", dtm="1772359130000", stm="1772359140000",
            cookie="1", se_va="2.5",
        )
    )  # fmt: skip
    assert (
        found
        | {
            "event": "page_view",
            "event_name": "page_view",
            "page_urlpath": "/a",
            "page_urlport": 443,
            "page_urlquery": "q=1",
            "domain_sessionidx": 3,
            "dvce_screenwidth": 1280,
            "br_cookies": True,
            "user_id": "u1",
            "se_value": 2.5,
            "derived_tstamp": "2026-03-01T09:59:50.000000Z",
        }
        == found
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"e": "ue"},
        {"e": "ue", "ue_pr": "{"},
        {"e": "ue", "ue_px": "%%%"},
        {"e": "ue", "ue_pr": "[]"},
        {"e": "pv", "cx": "////"},
    ],
)
def test_a_broken_payload_is_rejected(parameters):
    received = payload(**parameters)
    assert received.events == []
    assert received.rejected[0].reason


def test_an_anonymous_event_is_stripped_of_what_identifies():
    body = {"data": [{"e": "pv", "ip": "203.0.113.7", "tnuid": "n", "uid": "u"}]}
    found = event(post(body, "/com.acme/track", "snowplow", [("SP-Anonymous", "*")]))
    assert "user_ipaddress" not in found
    assert "network_userid" not in found


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["batch", "data", "e", "ue_pr", "cx", "co", "url", "timestamp", "sentAt",
                         "type", "context", "messageId", "dtm", "res", "writeKey"]),
        inner,
        max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip


@given(
    _json,
    st.sampled_from(["segment", "rudderstack", "snowplow"]),
    st.sampled_from(["/v1/b", "/v1/t"]),
)
def test_whatever_a_client_sends_is_no_error(body, vendor, path):
    received = post(body, path, vendor)
    json.dumps([received.events, [one.reason for one in received.rejected]])


def test_a_page_of_the_reader_knows_a_request_made_a_moment_ago():
    call = {"type": "page", "userId": "u1", "timestamp": "2026-03-01T09:59:59Z"}
    received = post({"batch": [call]})
    (row,) = rows_of(reader_of().read(chunk_of(*received.events), ArrivalPolicy.RECORDED))
    assert (row["user"], row["arrival"]) == ("u1", NOW)
