"""What clients send is kept before it is answered, and nothing that they send is a fault."""

from __future__ import annotations

import base64
import copy
import errno
import gzip
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from connectors.collected.limits import Sizes
from connectors.sources.requests.request import MOST_BYTES, MOST_EVENTS
from connectors.wall_clock import wall_clock
from project.stores import open_store
from serving import connections, reminders
from serving.collecting import collector
from serving.collecting.instants import FirstInstants
from serving.shares import Shares
from serving.tokens import read_token
from tests.cli.jobs import eventually
from tests.cli.projects import changed, write_project
from tests.collected.logs import collecting, event, segments
from tests.serving.asking import ANYWHERE, Server, loaded_from, new_key, project, server
from tests.serving.collected import SOURCE_OF, SOURCES, captured, kept

CLIENTS = sorted({one["client"] for one in captured()})


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A collector with a source of each format."""
    with server(project(tmp_path_factory.mktemp("here") / "project", sources=SOURCES)) as one:
        yield one


def basic(key: str, colon: str = ":") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}{colon}".encode()).decode()}


KEY = basic("SEGMENT_WRITE_KEY")


def track(number: object = 1, **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "x", "userId": "u1", "messageId": f"m{number}", **more}


def post(here: Server, body: Any, path: str = "/v1/batch", **more: Any) -> requests.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return here.ask(path, method="POST", data=content, **{"headers": KEY, **more})


def assert_refusal(answer: requests.Response) -> None:
    """A problem, with what clients look for in it."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    found = answer.json()
    assert set(found) == {"type", "title", "status", "detail", "code", "message"}
    assert found["status"] == answer.status_code
    assert found["detail"] == found["message"]


@pytest.mark.parametrize("client", CLIENTS)
def test_everything_that_real_clients_send_is_kept_and_answered(here: Server, client: str) -> None:
    records = [one for one in captured() if one["client"] == client]
    source = SOURCE_OF.get(records[0]["format"], records[0]["format"])
    before = len(kept(here.loaded.root, source).events)
    with requests.Session() as session:
        for one in records:
            if "body_base64" in one:
                body = base64.b64decode(one["body_base64"])
            else:
                body = one["body"].encode("utf-8", "surrogatepass")
            url = here.url + one["path"].partition("?")[0]
            answer = session.request(
                one["method"],
                url,
                params=[tuple(pair) for pair in one["query"]],
                headers=dict(one["headers"]),
                data=body,
                timeout=30,
            )
            assert answer.status_code == 200, (one["path"], answer.text)
    found = kept(here.loaded.root, source)
    assert len(found.events) - before == sum(one["events"] for one in records) > 10
    assert found.reasons == []


@pytest.mark.parametrize(
    ("source", "headers", "query", "body"),
    [
        # Servers' clients: basic authorization, with a colon behind the key or without.
        ("web", basic("SEGMENT_WRITE_KEY"), "", {}),
        ("web", basic("SEGMENT_WRITE_KEY", colon=""), "", {}),
        # Segment's for Roku, with another one behind the scheme.
        ("web", {"Authorization": "Basic: U0VHTUVOVF9XUklURV9LRVk"}, "", {}),
        ("rudder", basic("RUDDER_WRITE_KEY"), "", {}),
        ("hightouch", basic("HT_WRITE_KEY"), "", {}),
        # The body: Hightouch's clients in Python and in browsers; OAuth beside it.
        ("hightouch", {}, "", {"writeKey": "HT_WRITE_KEY"}),
        ("web", {"Authorization": "Bearer token"}, "", {"writeKey": "SEGMENT_WRITE_KEY"}),
        ("rudder", {}, "", {"writeKey": "RUDDER_WRITE_KEY"}),
        # The query: RudderStack's beacon.
        ("rudder", {"Content-Type": "text/plain"}, "?writeKey=RUDDER_WRITE_KEY", {}),
    ],
)
def test_who_sends_is_told_wherever_a_client_puts_it(
    here: Server, source: str, headers: dict[str, str], query: str, body: dict[str, str]
) -> None:
    before = len(kept(here.loaded.root, source).events)
    sent = {"batch": [track("a", timestamp="2026-03-01T10:00:00Z")], **body}
    assert post(here, sent, f"/beacon/v1/batch{query}", headers=headers).status_code == 200
    events = kept(here.loaded.root, source).events[before:]
    assert [one["messageId"] for one in events] == ["ma"]
    # Events are read as their source's vendor does.
    assert "writeKey" not in events[0]
    assert events[0]["timestamp"] == "2026-03-01T10:00:00.000000Z"
    in_event = {"batch": [track("b", **body)]}
    assert post(here, in_event, f"/v1/batch/{query}", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/v1/batch", {}, {"batch": [track()]}),
        ("/v1/t", basic("nobody"), track()),
        ("/v1/t", basic("shop"), track()),  # an app id is no write key
        ("/v1/t", {"Authorization": "Basic !!!"}, track()),
        ("/v1/t", {}, b"nonsense"),
        ("/com.acme/track", {}, {"data": [{"e": "pv", "aid": "nobody"}]}),
        ("/com.acme/track", {}, {"data": [{"e": "pv"}, {}]}),
    ],
)
def test_an_unknown_sender_is_refused_so_that_no_client_chokes(
    here: Server, path: str, headers: dict[str, str], body: object
) -> None:
    answer = post(here, body, path, headers=headers)
    assert answer.status_code == 400  # the only status that no client sends again
    assert_refusal(answer)
    assert answer.json()["code"] == "unknown_sender"


@pytest.mark.parametrize(
    ("path", "key", "body"),
    [
        ("/v1/track", "SEGMENT_WRITE_KEY", '{"success":true}'),
        ("/v1/b", "HT_WRITE_KEY", '{"success":true}'),
        ("/v1/batch", "RUDDER_WRITE_KEY", "OK"),
        ("/v1/m", "", '{"success":true}'),
    ],
)
def test_an_answer_is_the_vendors_own(here: Server, path: str, key: str, body: str) -> None:
    answer = post(here, {"batch": [track()]}, path, headers=basic(key))
    assert (answer.status_code, answer.text) == (200, body)


def test_a_pixel(here: Server) -> None:
    before = len(kept(here.loaded.root, "snowplow").events)
    for path in ("/i", "/ice.png", "/com.snowplowanalytics.snowplow/tp2"):
        answer = here.ask(f"{path}?e=pv&aid=shop-web&page=a+b%20c&eid={path[1:4]}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/gif"
        assert (len(answer.content), answer.content[:6]) == (43, b"GIF89a")
        assert answer.headers["cache-control"] == "no-cache, no-store, must-revalidate"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert here.ask("/i?e=pv&aid=shop-web&eid=head", method="HEAD").content == b""
    events = kept(here.loaded.root, "snowplow").events[before:]
    assert [one["event_id"] for one in events] == ["i", "ice", "com", "head"]
    assert events[0]["page_title"] == "a b c"
    answer = here.ask("/pixel/v1/track?writeKey=RUDDER_WRITE_KEY&event=seen&userId=u1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert kept(here.loaded.root, "rudder").events[-1]["event"] == "seen"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_headers_may_have_characters_of_any_language(here: Server, encoding: str) -> None:
    told = {"User-Agent": "Gl\u00fcck/1", "Referer": "https://shop.example/\u00fcber"}
    headers = {name: value.encode(encoding) for name, value in told.items()}
    assert here.ask("/i?e=pv&aid=shop-web", headers=headers).status_code == 200
    found = kept(here.loaded.root, "snowplow").events[-1]
    assert (found["useragent"], found["page_url"]) == tuple(told.values())


def test_a_pixel_of_segments(here: Server) -> None:
    before = kept(here.loaded.root)
    call = {"writeKey": "SEGMENT_WRITE_KEY", "userId": "u1", "properties": {"subject": "Spring"}}
    data = base64.urlsafe_b64encode(json.dumps(call).encode()).decode().rstrip("=")
    plain = "writeKey=SEGMENT_WRITE_KEY&userId=u1&properties.subject=Spring"
    names = ("identify", "group", "alias", "page", "screen", "track")
    for name in names:
        for query in (f"data={data}", plain):
            answer = here.ask(f"/v1/pixel/{name}?{query}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
            assert (len(answer.content), answer.content[:6]) == (43, b"GIF89a")
    events = kept(here.loaded.root).events[len(before.events) :]
    found = [(one["type"], one["properties"]["subject"]) for one in events]
    assert found == [(name, "Spring") for name in names for _ in range(2)]
    assert here.ask("/v1/pixel/track", method="POST").status_code == 405
    # What nobody can read has an image for an answer, too, if only it is known whose it is.
    answer = here.ask("/v1/pixel/track?data=%25&writeKey=SEGMENT_WRITE_KEY")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert kept(here.loaded.root).reasons == [*before.reasons, "damaged base64"]
    for query in ("data=%25", "data=%25&writeKey=nobody", "event=x"):
        assert_refusal(here.ask(f"/v1/pixel/track?{query}"))


def test_a_damaged_pixel_is_the_only_sources(tmp_path: Path) -> None:
    sources = {name: SOURCES[name] for name in ("web", "snowplow")}
    with server(project(tmp_path / "project", sources=sources)) as here:
        assert here.ask(f"/v1/pixel/track?data={'e' * 9}").status_code == 200
        for query in ("data=%25&writeKey=nobody", "event=x", ""):
            assert here.ask(f"/v1/pixel/track?{query}").status_code == 400
        assert post(here, b"{", "/v1/track", headers={}).status_code == 400
    assert kept(tmp_path / "project") == ([], ["damaged base64"])


def test_payloads_of_several_apps_go_where_each_belongs(tmp_path: Path) -> None:
    one = {"type": "http", "format": "snowplow", "app_ids": ["a"]}
    sources = {"web": SOURCES["web"], "first": one, "second": {**one, "app_ids": ["b"]}}
    with server(project(tmp_path / "project", sources=sources)) as here:
        payloads = [{"e": "pv", "aid": app, "eid": app} for app in "abc"]
        sent = post(here, {"data": [*payloads, 5]}, "/com.acme/track", headers={})
        assert (sent.status_code, sent.text) == (200, "ok")
        # Which of them a request is for that nobody can read, nobody knows.
        assert post(here, b"{", "/com.acme/track", headers={}).status_code == 400
        # Of a query it is known.
        assert here.ask("/i?aid=b&x=1").status_code == 200
        root = here.loaded.root
    assert kept(root, "first").ids == ["a"]
    assert kept(root, "second") == (kept(root, "second").events, ["an event of no kind"])
    assert kept(root, "second").ids == ["b"]
    assert sorted(kept(root, "first").reasons) == [
        "an event of an app id that no source has",
        "not a JSON object",
    ]


def test_what_is_posted_to_a_webhook_is_its_apps(tmp_path: Path) -> None:
    one = {"type": "http", "format": "snowplow", "app_ids": ["a"]}
    sources = {"web": SOURCES["web"], "first": one, "second": {**one, "app_ids": ["shop"]}}
    path = "/com.snowplowanalytics.iglu/v1?schema=iglu:com.acme/install/jsonschema/1-0-0"
    with server(project(tmp_path / "project", sources=sources)) as here:
        # What has an app id of its own within is not that app's.
        for body in ({"campaign": "spring", "aid": "a"}, b"{", [{"aid": "a", "b": "x" * 70_000}]):
            answer = post(here, body, f"{path}&aid=shop", headers={})
            assert (answer.status_code, answer.text) == (200, "ok")
        assert post(here, {"a": 1}, path, headers={}).status_code == 400
    found = kept(tmp_path / "project", "second")
    (install,) = found.events
    assert install["unstruct_event_com_acme_install_1"] == {"campaign": "spring", "aid": "a"}
    assert len(found.reasons) == 2
    assert kept(tmp_path / "project", "first") == ([], [])


def test_a_broken_payload_is_kept_where_it_belongs(tmp_path: Path) -> None:
    one = {"type": "http", "format": "snowplow", "app_ids": ["a"]}
    sources = {"web": SOURCES["web"], "first": one, "second": {**one, "app_ids": ["shop", "7"]}}
    with server(project(tmp_path / "project", sources=sources)) as here:

        def sent(*payloads: Any) -> int:
            return post(here, {"data": payloads}, "/com.acme/track", headers={}).status_code

        broken = {"e": "ue", "aid": "shop"}
        assert sent(broken) == 200
        assert sent({"e": "pv", "aid": "a", "eid": "good"}, broken) == 200
        assert sent({"e": "pv", "aid": 7, "eid": "good"}, {"e": "ue", "aid": 7}) == 200
        assert sent({"e": "pv", "aid": "shop", "se_la": "x" * 70_000}) == 200
        assert sent(5, broken) == 200  # what does not say whose it is lies beside others
        # Nobody's is refused, as it would be if it were whole.
        nobody: list[Any] = ["nobody", ["shop"], {}, None]
        for app in nobody:
            assert sent({"e": "ue", "aid": app}) == 400
    assert kept(tmp_path / "project", "first").ids == ["good"]
    assert kept(tmp_path / "project", "first").reasons == []
    found = kept(tmp_path / "project", "second")
    assert found.ids == ["good"]
    assert found.reasons == [
        "an event without a schema",
        "an event without a schema",
        "an event without a schema",
        "longer than the 65,536 bytes that an event may have",
        "an event without a schema",
        "not a JSON object",
    ]


def test_a_broken_payload_of_nobody_is_not_the_only_sources(tmp_path: Path) -> None:
    sources = {name: SOURCES[name] for name in ("web", "snowplow")}
    with server(project(tmp_path / "project", sources=sources)) as here:
        for app, status in (("nobody", 400), ("", 200)):
            body = {"data": [{"e": "ue", "aid": app}]}
            assert post(here, body, "/com.acme/track", headers={}).status_code == status
    assert kept(tmp_path / "project", "snowplow").reasons == ["an event without a schema"]


HEADERS = "anonymousid,authorization,content-type,sentat"


@pytest.mark.parametrize("path", ["/v1/t", "/beacon/v1/batch", "/sourceConfig/", "/com.acme/track"])
def test_a_browser_may_send_from_any_page(here: Server, path: str) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": HEADERS,
    }
    answer = here.ask(path, method="OPTIONS", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-headers"] == HEADERS
    assert answer.headers["vary"] == "Origin"
    assert 600 <= int(answer.headers["access-control-max-age"]) <= 7200
    for key in (KEY, {}):  # refusals are for scripts to be read as well
        answer = post(here, track(), "/v1/t", headers={**key, "Origin": "https://shop.example"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert "access-control-allow-origin" not in post(here, track(), "/v1/t").headers
    odd = here.ask("/v1/t", method="OPTIONS", headers={"Origin": b"\xe4"})
    assert odd.status_code == 200
    assert "access-control-allow-origin" not in odd.headers


def test_what_clients_in_browsers_ask_first(here: Server) -> None:
    found = here.ask("/v1/projects/SEGMENT_WRITE_KEY/settings").json()
    host = here.url.removeprefix("http://")
    assert found["integrations"]["Segment.io"] == {
        "apiKey": "SEGMENT_WRITE_KEY",
        "apiHost": f"{host}/v1",
        "protocol": "http",
    }
    assert found["plan"]["track"]["__default"]["enabled"]
    for more in ({"headers": basic("RUDDER_WRITE_KEY")}, {"params": "writeKey=RUDDER_WRITE_KEY"}):
        source = here.ask("/sourceConfig/", **more).json()["source"]
        assert (source["enabled"], source["writeKey"]) == (True, "RUDDER_WRITE_KEY")
        assert source["destinations"] == []
        assert set(source["config"]) == {"statsCollection"}
        texts = ("id", "name", "writeKey", "workspaceId", "createdAt", "updatedAt")
        assert all(isinstance(source[name], str) and source[name] for name in texts)
    unknown = {"/v1/projects/nobody/settings": 404, "/sourceConfig/?writeKey=nobody": 400}
    for path, status in unknown.items():
        answer = here.ask(path)
        assert (answer.status_code, answer.json()["code"]) == (status, "unknown_sender")


def test_slashes_of_an_address_that_ends_with_one(here: Server) -> None:
    assert post(here, track("slashes"), "//v1/track").status_code == 200
    assert post(here, {"batch": [track("many")]}, "///v1//batch//").status_code == 200
    assert kept(here.loaded.root).ids[-2:] == ["mslashes", "mmany"]
    source = here.ask("//sourceConfig/", params="writeKey=RUDDER_WRITE_KEY").json()["source"]
    assert source["writeKey"] == "RUDDER_WRITE_KEY"
    assert here.ask("//v1/projects/SEGMENT_WRITE_KEY/settings").status_code == 200
    sent = here.ask("//com.snowplowanalytics.snowplow/tp2?e=pv&aid=shop&eid=slashes")
    assert sent.status_code == 200
    assert kept(here.loaded.root, "snowplow").ids[-1] == "slashes"


def test_a_fault_of_ours_is_told_once_a_minute(
    here: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(here.collector, "_collected", fail)
    for _ in range(3):
        assert post(here, {"batch": [track()]}).status_code == 500
    told = capsys.readouterr().err
    assert told.count("http: a fault of ours while collecting: ZeroDivisionError at ") == 1


def test_behind_a_proxy_that_speaks_tls(tmp_path: Path) -> None:
    definition = changed(sources=SOURCES, serving={**ANYWHERE, "behind_proxy": True})
    with server(loaded_from(write_project(tmp_path / "project", definition))) as here:
        headers = {"Host": "collect.shop.example"}
        found = here.ask("/v1/projects/SEGMENT_WRITE_KEY/settings", headers=headers).json()
    told = found["integrations"]["Segment.io"]
    assert (told["apiHost"], told["protocol"]) == ("collect.shop.example/v1", "https")


def test_whether_a_proxy_is_in_front_is_known_from_the_start_on(tmp_path: Path) -> None:
    """Without one, whoever asks could make up an address."""
    serving = {**ANYWHERE, "limits": {"collector_per_address": 1}}
    root = write_project(tmp_path / "project", changed(sources=SOURCES, serving=serving))
    with server(loaded_from(root)) as here:
        told = changed(sources=SOURCES, serving={**serving, "behind_proxy": True})
        here.collector.follow(loaded_from(write_project(root, told)))
        path = "/v1/projects/SEGMENT_WRITE_KEY/settings"
        answers = [
            here.ask(path, headers={"X-Forwarded-For": f"192.0.2.{number}"}) for number in range(50)
        ]
        assert answers[0].json()["integrations"]["Segment.io"]["protocol"] == "http"
        assert 429 in {one.status_code for one in answers}


def nested(depth: int) -> bytes:
    return b'{"batch":[{"a":' + b"[" * depth + b"]" * depth + b"}]}"


HOSTILE = {
    "cut off gzip": gzip.compress(b'{"batch":[]}', mtime=0)[:-6],
    "no gzip": b"\x1f\x8bnonsense",
    "deep": nested(100_000),
    "deep enough": nested(900),
    "a body in pieces": gzip.compress(b"", mtime=0) * 200_000,
    "what cannot be for all": b'{"context":{"a":"%b"},"batch":[{},{}]}' % (b"x" * 70_000),
    "a long event": json.dumps({"batch": [track(a="x" * 70_000)]}).encode(),
    "nul": b'{"batch":["\x00"]}',
    "binary": bytes(range(256)) * 100,
    "empty": b"",
    "a number": b"1e999",
    "half": b'{"batch":[{"type":"tr',
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("path", ["/v1/batch", "/v1/t", "/com.acme/track"])
def test_what_cannot_be_read_is_kept_with_its_reason(here: Server, name: str, path: str) -> None:
    source = "snowplow" if path.startswith("/com") else "web"
    before = kept(here.loaded.root, source)
    answer = post(here, HOSTILE[name], path)
    assert answer.status_code == 200, answer.text
    after = kept(here.loaded.root, source)
    assert 1 <= len(after.reasons) - len(before.reasons) <= MOST_EVENTS + 1
    assert after.events == before.events


@pytest.mark.parametrize("path", ["/v1/batch", "/com.acme/track"])
def test_more_events_than_a_batch_may_have_are_refused_all(here: Server, path: str) -> None:
    source = "snowplow" if path.startswith("/com") else "web"
    before = kept(here.loaded.root, source)
    items = [{"e": "pv", "aid": "shop"}] * (MOST_EVENTS + 1)
    answer = post(here, {"batch": items, "data": items}, path)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_long")
    assert "10,000 events" in answer.json()["message"]
    assert kept(here.loaded.root, source) == before


def test_short_bodies_that_would_be_long_hold_up_nobody(here: Server) -> None:
    """The steps that they may take are counted in `tests/sources/test_requests.py`."""
    context = {"a": [0] * 16_000}
    body = {"writeKey": "nobody", "context": context, "batch": [{}] * MOST_EVENTS}
    packed = gzip.compress(json.dumps(body, separators=(",", ":")).encode(), mtime=0)
    assert len(packed) < 1_000
    began = time.monotonic()
    assert post(here, packed, headers={}).json()["code"] == "unknown_sender"
    assert post(here, packed).status_code == 200
    assert time.monotonic() - began < 10


def test_an_unknown_sender_is_refused_before_its_body_is_read(here: Server) -> None:
    told = basic("nobody")["Authorization"].encode()
    with connected(here) as line:
        line.sendall(HEAD % (told, 1_000_000) + b"{")
        assert line.recv(1000).startswith(b"HTTP/1.1 400 ")
        # The rest may come, and the connection goes on.
        line.sendall(b" " * 999_999)
        line.sendall(HEAD % (KEY["Authorization"].encode(), 2) + b"{}")
        assert line.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_key_of_ours_sends_for_the_source_that_it_names(here: Server) -> None:
    key = new_key(here.loaded, "events:write")
    told = {"headers": {"Authorization": f"Bearer {key}"}}
    before = len(kept(here.loaded.root, "rudder").events)
    assert post(here, track(1), "/v1/track?source=rudder", **told).status_code == 200
    assert post(here, {"batch": [track(2)]}, "/v1/batch?source=rudder", **told).status_code == 200
    assert len(kept(here.loaded.root, "rudder").events) == before + 2
    for path in ("/v1/track", "/v1/track?source=snowplow", "/v1/track?source=nobody"):
        answer = post(here, track(3), path, **told)
        assert_refusal(answer)
        assert answer.json()["message"] == (
            "say which source it is for, as ?source=KEY; there is web, rudder, hightouch"
        )


def test_a_key_of_ours_needs_its_scope_and_no_source_where_there_is_one(tmp_path: Path) -> None:
    web = {"web": SOURCES["web"]}
    with server(project(tmp_path / "project", sources=web)) as one:
        keys = [new_key(one.loaded, scope) for scope in ("events:write", "admin", "audiences:read")]
        answers = [
            post(one, track(1), "/v1/track", headers={"Authorization": f"Bearer {key}"})
            for key in keys
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 400]
        assert "the scope events:write" in answers[2].json()["message"]
        with closing(open_store(one.loaded)) as store:
            token = read_token(keys[0])
            assert token is not None
            store.keys.revoke(token.id, wall_clock())
        bearer = {"Authorization": f"Bearer {keys[0]}"}
        eventually(lambda: not post(one, track(2), "/v1/track", headers=bearer).ok)
        answer = post(one, track(2), "/v1/track", headers=bearer)
        assert_refusal(answer)
        assert "revoked" in answer.json()["message"]


def test_what_says_neither_who_nor_when_counts_each_time(here: Server) -> None:
    before = len(kept(here.loaded.root).events)
    for _ in range(3):
        call = {"userId": "u1", "event": "Pricing Viewed"}
        assert post(here, call, "/v1/track").status_code == 200
    assert len(set(kept(here.loaded.root).ids[before:])) == 3


def test_instants_beyond_the_calendar_are_no_fault(here: Server) -> None:
    now = datetime.now(UTC)
    call = track("early", timestamp="0001-01-01T00:00:00Z")
    body = {"batch": [call], "sentAt": (now + timedelta(minutes=1)).isoformat()}
    assert post(here, body).status_code == 200
    stamped = {"e": "pv", "aid": "shop", "dtm": "-62135596800000", "eid": "early"}
    stamped["stm"] = str(int((now.timestamp() + 60) * 1000))
    assert post(here, {"data": [stamped]}, "/com.acme/x").status_code == 200
    assert kept(here.loaded.root).ids[-1] == "mearly"
    assert kept(here.loaded.root, "snowplow").ids[-1] == "early"


def test_one_bad_event_does_not_fail_its_batch(here: Server) -> None:
    before = kept(here.loaded.root)
    odd = {"userId": 7, "originalTimestamp": [{}], "sentAt": {}, "timestamp": 9, "context": 5}
    batch = [track("c"), 5, track("d", properties={"x": "\x00", "y": [None] * 9}, **odd), None]
    lone = json.dumps({"batch": batch}).encode().replace(b'"x",', b'"\\ud83d",')
    assert post(here, lone).status_code == 200
    found = kept(here.loaded.root)
    assert found.ids[len(before.events) :] == ["mc", "md"]
    assert found.reasons[len(before.reasons) :] == ["not a JSON object"] * 2


def test_a_body_that_is_too_long_is_refused_while_it_comes(here: Server) -> None:
    bomb = gzip.compress(b'{"batch":[' + b" " * 30_000_000, mtime=0)
    in_parts = gzip.compress(b" " * 3_000_000, mtime=0) * 9
    before = kept(here.loaded.root)
    for body in (b" " * (MOST_BYTES + 1), iter([b" " * 100_000] * 50), bomb, in_parts):
        answer = here.ask("/v1/batch", method="POST", data=body, headers=KEY)
        assert answer.status_code == 400
        assert_refusal(answer)
        assert answer.json()["code"] == "too_long"
    assert kept(here.loaded.root) == before


def test_whatever_else_is_asked_is_no_fault(here: Server) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = here.ask("/v1/batch", method=method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    with ExitStack() as held:
        for head in (
            b"POST /v1/t HTTP/1.1\r\nContent-Length: 5\r\nAuthorization: Basic \xff\xfe\r\n",
            b"POST /v1/t HTTP/1.1\r\nContent-Length: 5\r\nOrigin: a\x01b\r\n",
            b"GET /i?e=pv&aid=%ff%00&co={&cx=%25 HTTP/1.1\r\nx: y\r\n",
            b"GET /i?" + b"&" * 30_000 + b" HTTP/1.1\r\n",
            b"POST /com.%00/x HTTP/1.1\r\nContent-Length: 5\r\n",
            b"GET /v1/projects/%00%ff/settings HTTP/1.1\r\nHost: \xe4\r\n",
            b"POST /v1/t HTTP/1.1\r\nTransfer-Encoding: chunked\r\nx: y\r\n\r\nzz\r\n",
            b"GET /i HTTP/1.1\r\nx: " + b"y" * 100_000 + b"\r\n",
        ):
            line = held.enter_context(connected(here))
            with suppress(ConnectionError):
                line.sendall(head + b"Connection: close\r\n\r\nhello")
                answered = line.recv(1000)
                assert answered == b"" or int(answered.split()[1]) in range(200, 500), head
    assert here.ask("/livez").status_code == 200


def sent_by_clients() -> list[tuple[str, bytes]]:
    """Paths and bodies."""
    found = []
    for one in captured():
        if one["method"] == "POST":
            told = one.get("body_base64")
            body = one["body"].encode("utf-8", "surrogatepass") if told is None else told
            found.append((one["path"], body if told is None else base64.b64decode(told)))
    return found


SENT = sent_by_clients()


@st.composite
def harmed(draw: st.DrawFn) -> tuple[str, bytes]:
    """What a client sends, with some bytes changed, cut off, or compressed."""
    path, body = draw(st.sampled_from(SENT))
    changed = bytearray(body)
    for place in draw(st.lists(st.integers(0, len(body) - 1), max_size=5)):
        changed[place] = draw(st.sampled_from(b'\x00"[]{},:9u\\e-\xff'))
    del changed[draw(st.integers(len(body) // 2, len(body))) :]
    return path, gzip.compress(changed, mtime=0) if draw(st.booleans()) else bytes(changed)


ODD: tuple[Any, ...] = (
    None,
    True,
    5,
    -1e300,
    "",
    "x",
    "2026-03-01T10:00:00Z",
    "e30",
    [],
    {},
    [{}],
    {"a": [5]},
)
READABLE = [(path, json.loads(body)) for path, body in SENT if body.startswith(b"{")]


@st.composite
def changed_within(draw: st.DrawFn) -> tuple[str, bytes]:
    """What a client sends, with odd values somewhere in it."""

    def replaced(value: Any) -> Any:
        if not isinstance(value, dict | list) or not value or draw(st.integers(0, 9)) == 0:
            return copy.deepcopy(draw(st.sampled_from(ODD)))
        places = list(value) if isinstance(value, dict) else range(len(value))
        for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
            value[place] = replaced(value[place])
        return value

    path, content = draw(st.sampled_from(READABLE))
    return path, json.dumps(replaced(copy.deepcopy(content))).encode()


@given(harmed() | changed_within())
def test_whatever_is_sent_is_answered(here: Server, sent: tuple[str, bytes]) -> None:
    path, body = sent
    answer = post(here, body, path)
    assert answer.status_code in {200, 400}
    if answer.status_code == 400:
        assert answer.json()["code"] == "unknown_sender"


def connected(here: Server, address: str = "127.0.0.1") -> socket.socket:
    host, _, port = here.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), 30, (address, 0))


SPACES = b" " * 50_000
HEAD = b"POST /v1/t HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n"


def begun(here: Server, size: int, sent: int, address: str = "127.0.0.1") -> socket.socket:
    """A request of which some bytes are still to come."""
    line = connected(here, address)
    line.sendall(HEAD % (KEY["Authorization"].encode(), size) + b" " * sent)
    return line


def is_cut_off(line: socket.socket) -> bool:
    try:
        return line.recv(1000) == b""
    except ConnectionError:
        return True


def test_who_sends_too_often_is_to_come_again(tmp_path: Path) -> None:
    limits = {"collector_per_address": 3}
    write_project(tmp_path, changed(sources=SOURCES, serving={**ANYWHERE, "limits": limits}))
    with server(loaded_from(tmp_path)) as here:
        with begun(here, 100, 0), begun(here, 100, 0), begun(here, 100, 0):
            with begun(here, 4_000_000, 0) as line:  # its body is not awaited
                answer = line.recv(1000)
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert b"retry-after: 1\r\n" in answer
            assert b'"code":"too_many_requests"' in answer
            assert here.ask("/v1/t", method="OPTIONS", headers={"Origin": "https://a"}).ok
            with begun(here, 100, 100, "127.0.0.2") as other:
                assert other.recv(1000).startswith(b"HTTP/1.1 200 ")
            assert here.ask("/livez").ok  # the limit of what asks is another one
        assert collected(here, "requests", outcome="too_often", source="") == 1


def test_who_is_slow_to_send_is_cut_off(here: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_BODY_SECONDS_MOST", 0.2)
    with begun(here, 100, 50) as line:
        assert is_cut_off(line)
    eventually(lambda: collected(here, "requests", outcome="broken_off", source="") >= 1)


def test_who_goes_on_sending_has_time(here: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_BODY_SECONDS_MOST", 1.0)
    monkeypatch.setattr(connections, "_BODY_BYTES_LEAST", 2_000)
    with begun(here, 100_000, 1_000) as line:
        for _ in range(9):
            time.sleep(0.25)
            line.sendall(b" " * 11_000)
        assert line.recv(1000).startswith(b"HTTP/1.1 200 ")
    with begun(here, 100_000, 99_000) as line:  # and then nothing more
        assert is_cut_off(line)


def test_more_than_there_is_room_for_is_to_come_again(tmp_path: Path) -> None:
    loaded = project(tmp_path / "project", sources=SOURCES)
    room = Shares(300_000, 300_000)
    with server(loaded, room=room) as here:
        assert post(here, track(), "/v1/t").status_code == 200
        with begun(here, 260_000, 259_000) as line:
            # Bodies count while they come, and so does each request by itself.
            eventually(lambda: room.left < 40_000)
            answer = post(here, SPACES, "/v1/t")
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            assert_refusal(answer)
            line.sendall(b" " * 1_000)
            assert line.recv(1000).startswith(b"HTTP/1.1 200 ")
        with begun(here, 260_000, 259_000):
            eventually(lambda: room.left < 40_000)
        eventually(lambda: room.left == 300_000)  # its sender has gone
        assert post(here, SPACES, "/v1/t").status_code == 200
        assert collected(here, "requests", outcome="over_capacity", source="") == 1


def test_who_sends_slowly_takes_up_a_share_of_the_room_and_no_more(tmp_path: Path) -> None:
    loaded = project(tmp_path / "project", sources=SOURCES)
    room = Shares(800_000)
    with server(loaded, room=room) as here, ExitStack() as held:
        held.enter_context(begun(here, 90_000, 80_000))
        eventually(lambda: room.left < 720_000)
        for _ in range(15):  # each is refused as soon as it goes beyond the share
            held.enter_context(begun(here, 90_000, 80_000))
        eventually(lambda: collected(here, "requests", outcome="over_capacity", source="") == 15)
        assert room.left >= 700_000
        assert post(here, SPACES, "/v1/t").status_code == 429
        with begun(here, 80_000, 80_000, "127.0.0.2") as other:
            assert other.recv(1000).startswith(b"HTTP/1.1 200 ")
    eventually(lambda: room.left == 800_000)


def test_what_waits_for_the_disk_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = project(tmp_path / "project", sources=SOURCES)
    may_write = threading.Event()
    wait_for_the_disk = os.fdatasync

    def slow(descriptor: int) -> None:
        may_write.wait(60)
        wait_for_the_disk(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    answers: list[int] = []
    batch = json.dumps({"batch": [track(number) for number in range(MOST_EVENTS)]}).encode()
    with server(loaded) as here:

        def send() -> None:
            answers.append(post(here, batch).status_code)

        threads = [threading.Thread(target=send) for _ in range(11)]
        for one in threads:
            one.start()
        eventually(lambda: 429 in answers)
        assert 200 not in answers  # nothing is acknowledged that is not on disk
        may_write.set()
        for one in threads:
            one.join()
        assert sorted(set(answers)) == [200, 429]
        taken = answers.count(200)
    assert len(kept(loaded.root).events) == taken * MOST_EVENTS


def test_a_disk_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = project(tmp_path / "project", sources=SOURCES)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with server(loaded) as here:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", full)
            for number in range(3):
                answer = post(here, track(number), "/v1/t")
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                assert_refusal(answer)
            why = "what is sent to source 'web' cannot be written"
            assert why in here.ask("/readyz").json()["reasons"]
        assert post(here, track(3), "/v1/t").status_code == 200
        assert why not in here.ask("/readyz").json()["reasons"]
        assert collected(here, "requests", outcome="not_written", source="web") == 3
    assert kept(loaded.root).ids == ["m3"]
    said = "http: source 'web': it cannot be written: No space left on device"
    assert capsys.readouterr().err.count(said) == 1


def test_a_source_that_cannot_be_written_is_told_of_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Others that can be written do not matter."""
    loaded = project(tmp_path / "project", sources=SOURCES)
    wait_for_the_disk = os.fdatasync

    def fails_of_web(descriptor: int) -> None:
        if "/web/" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        wait_for_the_disk(descriptor)

    monkeypatch.setattr(os, "fdatasync", fails_of_web)
    said = "http: source 'web': it cannot be written: No space left on device"
    with server(loaded) as here:
        for number in range(3):
            assert post(here, track(number), "/v1/t").status_code == 503
            other = post(here, track(number), "/v1/t", headers=basic("HT_WRITE_KEY"))
            assert other.status_code == 200
        assert capsys.readouterr().err.count(said) == 1
        monkeypatch.setattr(reminders, "_AGAIN", 0.0)
        assert post(here, track(4), "/v1/t").status_code == 503
        assert capsys.readouterr().err.count(said) == 1


def test_more_connections_than_are_held(here: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 20)
    with ExitStack() as held:
        lines = [held.enter_context(connected(here)) for _ in range(40)]
        assert sum(1 for line in lines[-10:] if is_cut_off(line)) == 10
    eventually(lambda: is_answered(here))


def is_answered(here: Server) -> bool:
    try:
        return here.ask("/livez").status_code == 200
    except requests.ConnectionError:
        return False


def test_idle_connections_are_cheap(here: Server) -> None:
    with ExitStack() as held:
        for _ in range(400):
            held.enter_context(connected(here))
        assert post(here, track(), "/v1/t").status_code == 200


def test_sources_follow_their_definitions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "project"
    loaded = project(root, sources={"web": SOURCES["web"]})
    with server(loaded) as here:
        assert post(here, track(1), "/v1/t").status_code == 200
        assert post(here, track(1), "/v1/t", headers=basic("new")).status_code == 400
        web = {**SOURCES["web"], "write_keys": ["new"]}
        here.collector.follow(project(root, sources={**SOURCES, "web": web}))
        assert post(here, track(2), "/v1/t").status_code == 400
        assert post(here, track(2), "/v1/t", headers=basic("new")).status_code == 200
        assert post(here, track(1), "/v1/t", headers=basic("HT_WRITE_KEY")).status_code == 200
        # One that cannot be opened harms no other.
        folder = root / ".usher" / "collected" / "rudder"
        here.collector.follow(project(root, sources={"web": web}))
        (folder / "log.json").write_text("nonsense")
        here.collector.follow(project(root, sources={**SOURCES, "web": web}))
        assert "nothing is collected for source 'rudder'" in capsys.readouterr().err
        refused = post(here, track(1), "/v1/t", headers=basic("RUDDER_WRITE_KEY"))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert post(here, track(3), "/v1/t", headers=basic("new")).status_code == 200
    assert kept(root).ids == ["m1", "m2", "m3"]


def test_nobody_is_turned_away_while_definitions_are_followed(tmp_path: Path) -> None:
    root = tmp_path / "project"
    now_and_then = [
        project(root, sources={"web": {**SOURCES["web"], "retention": {"age": age}}, **more})
        for age, more in (("2d", {}), ("1d", {"rudder": SOURCES["rudder"]}))
    ]
    with server(now_and_then[0]) as here:
        is_over = threading.Event()

        def follow() -> None:
            while not is_over.is_set():
                for loaded in now_and_then[::-1]:
                    here.collector.follow(loaded)

        changing = threading.Thread(target=follow)
        changing.start()
        ours = {"Authorization": f"Bearer {new_key(now_and_then[0], 'events:write')}"}
        told = [
            post(here, track(number), path, headers=headers).status_code
            for number in range(200)
            for path, headers in (("/v1/t", KEY), ("/v1/t?source=web", ours))
        ]
        is_over.set()
        changing.join()
        assert set(told) == {200}
        assert not here.collector.reasons()


def test_a_log_that_could_not_be_opened_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(collector, "_UNWELL", 0.01)
    root = tmp_path / "project"
    manifest = root / ".usher" / "collected" / "rudder" / "log.json"
    sources = {name: SOURCES[name] for name in ("web", "rudder")}

    def sent(here: Server) -> int:
        return post(here, track(1), "/v1/t", headers=basic("RUDDER_WRITE_KEY")).status_code

    with server(project(root, sources=sources)) as here:
        here.collector.follow(project(root, sources={"web": SOURCES["web"]}))
        content = manifest.read_text()
        manifest.write_text("nonsense")
        here.collector.follow(project(root, sources=sources))
        for _ in range(10):
            assert sent(here) == 503
            time.sleep(0.02)
        manifest.write_text(content)
        eventually(lambda: sent(here) == 200)
        assert not here.collector.reasons()
    said = "http: nothing is collected for source 'rudder'"
    assert capsys.readouterr().err.count(said) == 1
    assert set(kept(root, "rudder").ids) == {"m1"}


def test_whether_anybody_is_there(here: Server) -> None:
    answer = here.ask("/health")
    assert (answer.status_code, answer.text) == (200, "ok")


def test_an_event_has_one_time_however_often_it_is_sent(tmp_path: Path) -> None:
    root = tmp_path / "project"
    loaded = project(root, sources=SOURCES)
    hour = timedelta(hours=1)
    payload = {"e": "pv", "aid": "shop", "eid": "e1", "dtm": "1772359180000"}
    for attempt in range(3):
        with server(loaded) as here:  # each time another one, and of its own it knows as well
            for _ in range(2):
                sent = datetime.now(UTC) + hour
                original = datetime(2026, 3, 1, tzinfo=UTC).isoformat()
                # A clock that is ahead, no time at all, and an id that is used twice.
                timeless = track("b")
                twice = [track("a", timestamp=f"2026-03-0{day}T10:00:00Z") for day in (2, 3)]
                batch = [track("a", timestamp=original), timeless, *twice]
                body = {"batch": batch, "sentAt": sent.isoformat()}
                assert post(here, body).status_code == 200
                stamped = {**payload, "stm": str(int(sent.timestamp() * 1000))}
                assert post(here, {"data": [stamped]}, "/com.acme/x").status_code == 200
        assert len(kept(root).events) == 8 * (attempt + 1)
    assert len({(one["messageId"], one["timestamp"]) for one in kept(root).events}) == 4
    times = [one["derived_tstamp"] for one in kept(root, "snowplow").events]
    assert (len(times), len(set(times))) == (6, 1)


def test_two_users_whose_events_have_one_id_have_times_of_their_own() -> None:
    instants = FirstInstants("snowplow")
    for who, time_told, settled in (
        ({"network_userid": "n1"}, "10:00", "10:00"),
        ({"network_userid": "n2"}, "10:05", "10:05"),
        ({"network_userid": "n1"}, "10:10", "10:00"),
        # Who is known otherwise may have had another cookie the first time.
        ({"domain_userid": "d1", "network_userid": "n1"}, "10:15", "10:15"),
        ({"domain_userid": "d1", "network_userid": "n2"}, "10:20", "10:15"),
    ):
        view: dict[str, object] = {"event_id": "e", "dvce_created_tstamp": "t", **who}
        view["derived_tstamp"] = time_told
        instants.settle(view)
        assert view["derived_tstamp"] == settled


def test_what_is_damaged_behind_does_not_keep_others_out(tmp_path: Path) -> None:
    root = tmp_path / "project"
    loaded = project(root, sources=SOURCES)
    with collecting(root, sizes=Sizes(segment=1_000)) as log:
        for number in range(20):
            log.append([event(number)]).result()
    damaged = segments(root)[-2]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with server(loaded) as here:
        assert post(here, track(1), "/v1/t").status_code == 200


def collected(here: Server, name: str, **labels: str) -> float:
    told = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return here.metrics().get(f"usher_collector_{name}_total{{{told}}}", 0.0)


def test_figures_of_what_is_collected(tmp_path: Path) -> None:
    with server(project(tmp_path / "project", sources=SOURCES)) as here:
        sent = json.dumps({"batch": [track(1), track(2), 5]}).encode()
        post(here, sent)
        post(here, b"{")
        post(here, sent, headers=basic("nobody"))
        assert collected(here, "requests", source="web", outcome="taken") == 2
        assert collected(here, "requests", source="", outcome="unknown_sender") == 1
        assert collected(here, "events", source="web") == 2
        assert collected(here, "dead_letters", source="web") == 2
        assert collected(here, "bytes", source="web") == len(sent) + 1
        samples = here.metrics()
        assert samples['usher_collector_append_seconds_count{source="web"}'] == 2
        assert samples['usher_collector_append_seconds_sum{source="web"}'] > 0
        assert not [name for name in samples if "u1" in name or "KEY" in name]
