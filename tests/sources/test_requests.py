"""Requests of real clients, and of hostile ones, as events of the pipeline."""

import base64
import gzip
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.instants import read_instant
from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.requests.reading import read_request
from connectors.sources.requests.request import MOST_BYTES, MOST_EVENTS, Request
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
                assert (
                    str(one["derived_tstamp"]) <= str(one["collector_tstamp"])
                    or "true_tstamp" in one
                )
            else:
                assert {"type", "messageId", "receivedAt", "timestamp"} <= one.keys()


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


def test_one_bad_event_does_not_fail_its_batch():
    received = post(
        {"batch": [{"event": "a"}, 5, None, [], "x", {"event": "b", "x": "y" * 70_000}, {}]}
    )
    assert len(received.events) == 2
    assert len(received.rejected) == 5


def test_a_call_without_an_id_has_the_same_one_each_time_it_is_sent():
    first = event(post({"batch": [{"event": "a"}], "sentAt": "2026-03-01T09:00:00Z"}))
    again = event(post({"batch": [{"event": "a"}], "sentAt": "2026-03-01T09:00:09Z"}))
    assert first["messageId"] == again["messageId"]
    assert event(post({"batch": [{"event": "b"}]}))["messageId"] != first["messageId"]


def test_half_characters_and_numbers_that_are_none_are_read():
    body = b'{"batch":[{"event":"\\ud83d","x":NaN,"y":1e999,"z":123456789012345678901234567890}]}'
    found = event(post(body))
    assert (found["event"], found["x"], found["y"]) == ("\ufffd", None, None)
    json.dumps(found)


def test_gzip_is_seen_whatever_the_headers_say():
    body = json.dumps({"batch": [{"event": "a"}]}).encode()
    assert event(post(gzip.compress(body, mtime=0)))["event"] == "a"
    members = gzip.compress(body[:9], mtime=0) + gzip.compress(body[9:], mtime=0)
    assert event(post(members))["event"] == "a"
    assert event(post(body, headers=[("Content-Encoding", "gzip")]))["event"] == "a"


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"0" * 50_000_000, mtime=0),
        gzip.compress(b"0" * 3_000_000, mtime=0) * 9,
        b" " * (MOST_BYTES + 1),
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


def test_batches_have_a_limit():
    received = post({"batch": [{}] * (MOST_EVENTS + 2)})
    assert len(received.events) == MOST_EVENTS
    assert [one.reason for one in received.rejected] == [
        "2 events beyond the 10,000 that a batch may have"
    ]


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
    assert len(post(gzip.compress(json.dumps({"batch": [call]}).encode(), mtime=0)).events) == 1
    body = gzip.compress(json.dumps({"batch": [call] * 5}).encode(), mtime=0)
    assert len(body) < 3_000
    assert "compressed body" in post(body).rejected[0].reason


@pytest.mark.parametrize(
    ("headers", "query", "body", "key"),
    [
        ([("authorization", "Basic " + base64.b64encode(b"key:").decode())], [], {}, "key"),
        ([("Authorization", "basic " + base64.b64encode(b"key").decode())], [], {}, "key"),
        ([("Authorization", "Basic !!!")], [("writeKey", "q")], {"writeKey": "b"}, "q"),
        ([("Authorization", "Basic \xff")], [], {"writeKey": "b"}, "b"),
        ([("Authorization", "Bearer token")], [], {"writeKey": "b"}, "b"),
        ([], [], {"batch": [{"writeKey": "e"}]}, "e"),
        ([], [], {"writeKey": 5}, None),
        ([], [], b"nonsense", None),
    ],
)
def test_who_sends_is_told_by_the_write_key(headers, query, body, key):
    assert post(body, headers=headers, query=query).write_key == key


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
    query = [("e", "ue"), *encoded.items()]
    got = read_request(Request("GET", "/i", query, [], b"", NOW), "snowplow")
    assert event(got)["event_id"] == found["event_id"]


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
