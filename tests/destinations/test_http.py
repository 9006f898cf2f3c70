"""The generic HTTP destination: requests from templates, and rules for answers."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.destinations.destination import Answer
from tests.destinations.kinds import message, opened, run, sent, using, verdicts
from tests.destinations.servers import Asked, answer, serving
from tests.dsl.projects import compiled


async def exchanged(
    *messages: Any, status: int = 200, said: object = b"", path: str = "", **options: Any
) -> tuple[Answer, list[Asked]]:
    async with serving(answer(status, said)) as server:
        got = await sent(opened("http", server.url, url=server.url + path, **options), *messages)
    return got, server.asked


def asked_for(*messages: Any, **options: Any) -> list[Asked]:
    got, asked = run(exchanged(*messages, **options))
    assert set(verdicts(got)) == {"accepted"}
    return asked


def outcomes(*messages: Any, **options: Any) -> list[tuple[str, str]]:
    got, _ = run(exchanged(*messages, **options))
    return [(one.verdict.value, one.reason) for one in got.outcomes]


def test_without_a_template_it_sends_the_record_or_its_mapping() -> None:
    one = message()
    (asked,) = asked_for(one)
    assert (asked.method, asked.target) == ("POST", "/")
    assert json.loads(asked.body) == one.record
    (asked,) = asked_for(message(mapped={"b": 1, "a": [None, {"x": "ü"}]}))
    assert asked.body.decode() == '{"b":1,"a":[null,{"x":"ü"}]}'
    (asked,) = asked_for(one, message("u2"), batch=10)
    assert json.loads(asked.body) == [one.record, message("u2").record]


def test_every_part_is_a_template() -> None:
    (asked,) = asked_for(
        message("u/1 ?&", mapped={"plan": "free", "n": 3}),
        path="/users/{{ user_id }}/x/{{ audience }}?a=1&b={{ mapping.plan }}&c={{ user_id }}",
        method="PUT",
        query={"q": "{{ mapping.n }}", "none": "{{ mapping.missing | default(none) }}", "d": "e f"},
        headers={"X-User": "{{ user_id }}", "X-Fixed": "yes"},
        body={"in": "{{ entered }}", "at": "{{ effective_at | epoch }}", "t": "is {{ type }}"},
    )
    assert asked.method == "PUT"
    assert asked.target == "/users/u%2F1%20%3F%26/x/pricing?a=1&b=free&c=u%2F1%20%3F%26&q=3&d=e%20f"
    assert (asked.headers["x-user"], asked.headers["x-fixed"]) == ("u/1 ?&", "yes")
    assert json.loads(asked.body) == {"in": True, "at": 1_772_359_200, "t": "is entered"}


@given(st.text(min_size=1, max_size=20))
def test_a_value_never_adds_to_a_urls_structure(user: str) -> None:
    from connectors.destinations.http.target import Url

    url = Url.read("https://h.example/a/{{ user_id }}/b?c={{ user_id }}")
    target, shown = url.render({"user_id": user}, lambda _: False)
    assert shown == "/a/***/b?c=***"
    path, _, query = target.partition("?")
    assert path.count("/") == 3
    assert path.split("/")[2] not in {".", ".."}
    assert "#" not in target
    encodable = user.encode("utf-8", "replace").decode()
    if "\ufffd" not in encodable:
        assert parse_qsl(query, keep_blank_values=True, separator="&") == [("c", encodable)]


def test_entries_and_exits_may_differ() -> None:
    actions = {
        "entered": {"method": "PUT", "body": {"add": "{{ user_id }}"}},
        "exited": {"method": "DELETE", "headers": {"x-why": "{{ cause.kind }}"}},
    }
    (asked,) = asked_for(message(), **actions)
    assert (asked.method, asked.body) == ("PUT", b'{"add":"u1"}')
    (asked,) = asked_for(message(entered=False), **actions)
    assert (asked.method, asked.headers["x-why"]) == ("DELETE", "event")
    (asked,) = asked_for(message(), method="GET")
    assert asked.body == b""
    assert "content-type" not in asked.headers


def test_many_messages_are_one_request() -> None:
    options = {
        "batch": 100,
        "item": {"id": "{{ user_id }}", "in": "{{ entered }}"},
        "body": {
            "all": "{{ items }}",
            "ids": "{{ records | map('user_id') }}",
            "n": "{{ items | length }}",
        },
    }
    (asked,) = asked_for(message("a"), message("b", entered=False), **options)
    assert json.loads(asked.body) == {
        "all": [{"id": "a", "in": True}, {"id": "b", "in": False}],
        "ids": ["a", "b"],
        "n": 2,
    }


def test_encodings() -> None:
    (asked,) = asked_for(
        message("a"), message("b"), batch=9, item="{{ user_id }}", encoding="ndjson"
    )
    assert asked.body == b'"a"\n"b"\n'
    assert asked.headers["content-type"] == "application/x-ndjson"
    (asked,) = asked_for(
        message("a b"), body={"u": "{{ user_id }}", "t": True, "n": None}, encoding="form"
    )
    assert asked.body == b"u=a+b&t=true"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    first, second = (asked_for(message(), gzip=True)[0] for _ in range(2))
    assert first.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(first.body)) == message().record
    assert first.body == second.body, "the same bytes whenever it is sent"


def test_who_sends() -> None:
    def headers_of(**auth: str) -> Asked:
        return asked_for(message(), auth=auth)[0]

    asked = headers_of(type="basic", user="u", password="p:ü")
    expected = base64.b64encode("u:p:ü".encode()).decode()
    assert asked.headers["authorization"] == f"Basic {expected}"
    assert headers_of(type="bearer", token="t").headers["authorization"] == "Bearer t"
    assert headers_of(type="header", name="X-Key", value="k").headers["x-key"] == "k"
    assert headers_of(type="query", name="k", value="a&b").target == "/?k=a%26b"


def oauth(server: Any, **more: Any) -> dict[str, Any]:
    auth = {"type": "oauth2", "token_url": f"{server.url}/token", "client_id": "me"}
    return {"auth": {**auth, "client_secret": "canary", **more}, "url": f"{server.url}/in"}


def test_tokens_are_asked_for_when_they_are_needed() -> None:
    valid = {"token-1"}

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.target == "/token":
            granted = {"access_token": f"token-{len(valid)}", "expires_in": 3600}
            await answer(200, granted)(asked, writer)
        else:
            good = asked.headers["authorization"].removeprefix("Bearer ") in valid
            told = asked.headers["authorization"].encode()
            await answer(200 if good else 401, told)(asked, writer)

    async def story() -> None:
        async with serving(behave) as server:
            destination = opened("http", server.url, **oauth(server, scope="a b"))
            several = (destination.send([message(f"u{n}")]) for n in range(3))
            assert [verdicts(one) for one in await asyncio.gather(*several)] == [["accepted"]] * 3
            asked = [one for one in server.asked if one.target == "/token"]
            assert [dict(parse_qsl(one.body.decode())) for one in asked] == [
                {
                    "grant_type": "client_credentials", "client_id": "me",
                    "client_secret": "canary", "scope": "a b",
                }
            ]  # fmt: skip
            valid.remove("token-1")
            valid.update({"token-2", "token-0"})
            got = await destination.send([message()])
            assert verdicts(got) == ["accepted"], "a refused token is exchanged"
            assert got.exchange.response == "Bearer ***"
            valid.clear()
            got = await destination.send([message()])
            assert verdicts(got) == ["refused"], "and once is enough"
            assert "Bearer" not in got.exchange.request
            await destination.close()

    run(story())


def test_without_a_token_nothing_is_sent() -> None:
    async def story() -> None:
        for status, said, verdict in (
            (400, {"error": "invalid_client"}, "refused"),
            (401, {}, "refused"),
            (503, {}, "retry"),
            (200, {"token": "x"}, "retry"),
            (302, {}, "refused"),
        ):
            async with serving(answer(status, said)) as server:
                got = await sent(opened("http", server.url, **oauth(server)), message())
                assert verdicts(got) == [verdict]
                assert got.outcomes[0].reason.startswith("no token: ")
                assert [one.target for one in server.asked] == ["/token"]

    run(story())


def test_rules_on_statuses_and_bodies() -> None:
    rules = {
        "success": {"status": [200, 409], "body": "code == `0`"},
        "retry_on": {"status": [404], "body": "code == `40100`"},
        "pause_on": {"status": [418], "body": "code == `40105`"},
    }
    for status, said, verdict in [
        (200, {"code": 0}, "accepted"),
        (409, {"code": 0}, "accepted"),
        (202, {"code": 0}, "rejected"),
        (200, {"code": 5}, "rejected"),
        (200, {"code": 40100}, "retry"),
        (404, {}, "retry"),
        (418, {}, "refused"),
        (200, {"code": 40105}, "refused"),
        (200, b"<html>gateway</html>", "retry"),
        (200, b"", "retry"),
        (500, {"code": 0}, "retry"),
        (401, {}, "refused"),
    ]:
        ((found, reason),) = outcomes(message(), status=status, said=said, **rules)
        assert found == verdict, (status, said)
        assert verdict == "accepted" or f"answered {status}" in reason


def test_only_what_failed_is_repeated() -> None:
    three = [message("a"), message("b"), message("c")]
    path = "errors[].{index: at, reason: why, retry: again}"
    said = {"errors": [{"at": 0, "why": "bad ann@example.com"}, {"at": 2, "again": True}]}
    found = outcomes(*three, said=said, batch=10, per_item_errors=path)
    assert [verdict for verdict, _ in found] == ["rejected", "accepted", "retry"]
    assert found[0][1] == "bad ***"
    indexes = outcomes(*three, said={"bad": [1]}, status=400, batch=10, per_item_errors="bad")
    assert [verdict for verdict, _ in indexes] == ["retry", "rejected", "retry"]
    oddities: list[object] = [
        {"bad": [7, -1, True, "x", None]},
        {"bad": "x"},
        {"bad": {"index": 0}},
        [],
        b"",
    ]
    for odd in oddities:
        found = outcomes(*three, said=odd, batch=10, per_item_errors="bad")
        assert [verdict for verdict, _ in found] == ["accepted"] * 3


ON_BODIES: list[dict[str, Any]] = [
    {"per_item_errors": "bad"},
    {"success": {"body": "ok"}},
    {"retry_on": {"body": "busy"}},
    {"pause_on": {"body": "expired"}},
]


@pytest.mark.parametrize("rules", ON_BODIES)
def test_what_no_rule_can_look_into_accepts_nothing(rules: dict[str, Any]) -> None:
    two = [message("a"), message("b")]
    long = {"ok": True, "bad": [], "said": "x" * 70_000}
    html = b"<html>maintenance</html>"
    assert {one for one, _ in outcomes(*two, batch=2, said=html, **rules)} == {"retry"}
    found = outcomes(*two, batch=2, said=long, **rules)
    assert found == [("too_large", "answered 200, with a body that is too long to be read")] * 2
    assert [one for one, _ in outcomes(*two[:1], batch=2, said=long, **rules)] == ["retry"]
    assert {one for one, _ in outcomes(*two, batch=2, status=503, said=long, **rules)} == {"retry"}


def test_nobody_has_to_read_an_answer_that_no_rule_looks_into() -> None:
    assert outcomes(message(), said=b"x" * 70_000) == [("accepted", "")]


def test_a_large_batch_may_have_a_long_answer() -> None:
    many = [message(f"u{n}") for n in range(1000)]
    said = {"bad": [{"index": n, "reason": "invalid " + "x" * 80} for n in range(0, 1000, 2)]}
    found = outcomes(*many, batch=1000, per_item_errors="bad", said={**said, "rest": "x" * 60_000})
    assert [verdict for verdict, _ in found] == ["rejected", "accepted"] * 500


def test_thousands_of_outcomes_take_no_time_to_be_told() -> None:
    many = [message(f"u{n}", mapped={"mail": f"u{n}@example.com"}) for n in range(2000)]
    began = time.monotonic()
    found = outcomes(*many, batch=2000, per_item_errors="bad", said={"bad": [7]})
    assert time.monotonic() - began < 5, "all other syncs wait meanwhile"
    assert [n for n, (verdict, _) in enumerate(found) if verdict == "rejected"] == [7]


def test_a_faulty_batch_is_taken_apart() -> None:
    assert [one for one, _ in outcomes(message("a"), message("b"), status=400, batch=9)] == [
        "too_large", "too_large",
    ]  # fmt: skip
    assert [one for one, _ in outcomes(message("a"), status=400, batch=9)] == ["rejected"]
    found = outcomes(message("a"), message("b"), batch=9, max_bytes=400)
    assert [one for one, _ in found] == ["too_large"] * 2
    assert "and 400 are the most" in found[0][1]


def test_what_has_no_form_is_rejected_alone() -> None:
    options: dict[str, Any] = {"batch": 9, "item": {"plan": "{{ mapping.plan }}"}}
    first, last = message("a", mapped={"plan": "x"}), message("c", mapped={"plan": "y"})
    got, (asked,) = run(exchanged(first, message("b"), last, **options))
    assert verdicts(got) == ["accepted", "rejected", "accepted"]
    assert got.outcomes[1].reason == "its item: plan: there is no 'mapping.plan'"
    assert json.loads(asked.body) == [{"plan": "x"}, {"plan": "y"}]
    got, asked_none = run(exchanged(message("a"), **options))
    assert (verdicts(got), asked_none) == (["rejected"], [])


def test_a_header_is_one_line() -> None:
    got, asked = run(exchanged(message("a\r\nX-Evil: 1"), headers={"X-User": "{{ user_id }}"}))
    assert (verdicts(got), asked) == (["rejected"], [])
    assert got.outcomes[0].reason == "its header X-User: a header is one line of text"


def test_many_requests_at_once_go_over_as_many_connections() -> None:
    async def story() -> None:
        open_now, most = 0, 0

        async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(0.02)
            open_now -= 1
            await answer(200)(asked, writer)

        async with serving(behave) as server:
            destination = opened("http", server.url, concurrency=4)
            assert destination.capacity.requests == 4
            await asyncio.gather(*(destination.send([message(f"u{n}")]) for n in range(12)))
            await destination.close()
        assert (len(server.asked), most) == (12, 4)

    run(story())


def test_what_would_be_sent_can_be_shown() -> None:
    async def described(destination: Any) -> str:
        return destination.describe([message(mapped={"mail": "ann@example.com"}), message("u2")])

    destination = opened(
        "http", "https://api.example", url="https://api.example/x?k={{ user_id }}",
        auth={"type": "bearer", "token": "canary"}, body={"m": "{{ mapping.mail }}"},
        entered={"method": "PUT"}, batch=1,
    )  # fmt: skip
    shown = run(using(destination, described))
    assert shown.startswith("PUT https://api.example/x?k=u1\ncontent-type: application/json\n")
    assert '{"m":"ann@example.com"}' in shown
    assert "canary" not in shown


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ("body: {a: '{{ usr_id }}'}", "{{ usr_id }}", "there is no variable 'usr_id'"),
        ("body: {a: [1, '{{ f( }}']}", "{{ f( }}", "'{{ f( }}' is no template"),
        ("body: {a: '{{ user_id.x() }}'}", "{{ user_id.x() }}", "nothing can be called"),
        ("entered: {headers: {x: '{{ nobody }}'}}", "{{ nobody }}", "there is no variable"),
        ("batch: 5, body: {a: '{{ user_id }}'}", "{{ user_id }}", "a request has several messages"),
        ("exited: {url: 'https://other.example/x'}", "https://other", "a destination has one host"),
        ("success: {body: 'a ==='}", "a ===", "this is no JMESPath"),
        ("per_item_errors: 'errors['", "errors[", "this is no JMESPath"),
        ("auth: {type: bearer, token: '${T}'}", "${T}", "a secret is one line"),
        ("auth: {type: bearer, token: plain}", "plain", "'token' is a secret"),
        ("headers: {'a b': x}", "a b", "'a b' cannot be a name here"),
        ("limits: [{requests: 0, per: 1s}]", "0", "'requests' cannot be '0'"),
        ("method: FETCH", "FETCH", "'method' must be one of"),
    ],
)
def test_mistakes_are_told_where_they_stand(options: str, place: str, message: str) -> None:
    text = f"destinations:\n  d: {{type: http, url: 'https://api.example/x', {options}}}"
    (one,) = compiled(text, {"T": "canary\n"}).diagnostics
    assert message in one.message
    line = text.splitlines()[1]
    assert line[one.column - 1 :].lstrip("'").startswith(place.lstrip("'")), one.to_text()
    assert "canary" not in one.to_text()


def test_all_mistakes_are_told_at_once() -> None:
    text = """\
destinations:
  api:
    type: http
    url: https://api.example/{{ usr }}
    headers: {x: "{{ options.key }}"}
    body: {a: "{{ user }}", b: [{c: "{{ mapping.plan | lowr }}"}]}
"""
    found = compiled(text).diagnostics
    assert [(one.line, one.message) for one in found] == [
        (4, "there is no variable 'usr'"),
        (5, "there is no variable 'options'"),
        (6, "there is no variable 'user'"),
        (6, "unknown filter 'lowr'; did you mean 'lower'?"),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://{{ user_id }}/x",
        "https://a.{{ audience }}.example/",
        "https://a.example{{ user_id }}/",
        "{{ user_id }}",
        "https://a.example:{{ sequence }}/x",
        "https://a.example/{% if entered %}x{% endif %}",
    ],
)
def test_the_host_is_literal(url: str) -> None:
    (one,) = compiled(f'destinations: {{d: {{type: http, url: "{url}"}}}}').diagnostics
    assert one.severity == "error"
