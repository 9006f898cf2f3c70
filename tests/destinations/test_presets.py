"""Every preset sends what its vendor's documentation asks for, and reads its answers as it does."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from connectors.destinations.destination import Answer, Message
from connectors.destinations.http.flaws import flaws
from connectors.destinations.http.presets import presets
from tests.destinations.kinds import ACCEPTING, OPTIONS, message, opened, run, sent, verdicts
from tests.destinations.servers import Asked, answer, serving
from tests.destinations.vendors import VENDORS, basic, digest
from tests.dsl.projects import compiled


def pair(kind: str) -> list[Message]:
    mapping = VENDORS[kind][0]
    return [message("u1", mapped=mapping), message("u2", entered=False, sequence=2)]


async def delivered(kind: str, url: str, *messages: Message) -> list[Answer]:
    """In as many calls as the destination's capacity asks for."""
    destination = opened(kind, url)
    size = destination.capacity.messages
    parts = [messages[at : at + size] for at in range(0, len(messages), size)]
    try:
        return [await destination.send(part) for part in parts]
    finally:
        await destination.close()


def test_every_preset_is_tested() -> None:
    assert set(VENDORS) == set(presets()) == set(OPTIONS)


@pytest.mark.parametrize("kind", VENDORS)
def test_it_sends_what_the_vendor_asks_for(kind: str) -> None:
    async def story() -> None:
        async with serving(answer(200, ACCEPTING.get(kind, {}))) as server:
            answers = await delivered(kind, server.url, *pair(kind))
        assert [one for each in answers for one in verdicts(each)] == ["accepted"] * 2
        expected = VENDORS[kind][1]
        assert len(server.asked) == len(expected)
        for asked, one in zip(server.asked, expected, strict=True):
            assert (asked.method, asked.target) == (one.method, one.target)
            assert asked.headers["content-type"] == "application/json"
            assert dict(asked.headers) == dict(asked.headers) | dict(one.headers)
            packed = asked.headers.get("content-encoding") == "gzip"
            body = gzip.decompress(asked.body) if packed else asked.body
            assert json.loads(body) == one.body

    run(story())


HIDDEN = (
    "canary", "ann@example.com", "Ann@", "free", "123.456", "1234567", digest("ann@example.com"),
    basic("wk-canary")["authorization"], basic("site", "key-canary")["authorization"],
)  # fmt: skip


@pytest.mark.parametrize("kind", VENDORS)
def test_the_log_shows_no_secret_and_no_value_of_a_mapping(kind: str) -> None:
    async def story() -> None:
        async def echo(asked: Asked, writer: asyncio.StreamWriter) -> None:
            packed = asked.headers.get("content-encoding") == "gzip"
            body = gzip.decompress(asked.body) if packed else asked.body
            told = f"{asked.target} {dict(asked.headers)} {body.decode()}"
            await answer(500, told.encode())(asked, writer)

        async with serving(echo) as server:
            answers = await delivered(kind, server.url, *pair(kind))
        for one in answers:
            shown = one.exchange.request + one.exchange.response
            shown += "".join(outcome.reason for outcome in one.outcomes)
            assert shown.startswith(("POST ", "PATCH "))
            for hidden in HIDDEN:
                assert hidden not in shown

    run(story())


PARTIAL: list[tuple[str, int, Any, list[str]]] = [
    ("braze", 201, {"message": "success", "errors": [{"type": "bad", "index": 1}]},
     ["accepted", "rejected"]),
    ("customerio", 207, {"errors": [{"batch_index": 0, "reason": "required"}]},
     ["rejected", "accepted"]),
    ("amplitude", 400, {"events_with_invalid_fields": {"time": [1]}}, ["retry", "rejected"]),
    ("amplitude", 400, {"events_with_missing_fields": {"user_id": [0]}}, ["rejected", "retry"]),
    ("amplitude", 400, {"silenced_events": [0, 1]}, ["rejected", "rejected"]),
    ("amplitude", 400, {"error": "Invalid API key"}, ["too_large", "too_large"]),
    ("mixpanel", 400, {"code": 400, "failed_records": [{"index": 1, "message": "too old"}]},
     ["accepted", "rejected"]),
    ("mixpanel", 400, {"code": 400, "error": "some data points"}, ["too_large", "too_large"]),
    ("hubspot", 207, {"errors": [{"message": "x"}]}, ["too_large", "too_large"]),
    ("iterable", 200, {"failCount": 1}, ["rejected", "rejected"]),
    ("meta_capi", 400, {"error": {"code": 4}}, ["retry", "retry"]),
    ("meta_capi", 400, {"error": {"code": 9, "is_transient": True}}, ["retry", "retry"]),
    ("meta_capi", 400, {"error": {"code": 190}}, ["refused", "refused"]),
    ("meta_capi", 400, {"error": {"code": 100}}, ["too_large", "too_large"]),
    ("segment", 400, {"message": "malformed"}, ["too_large", "too_large"]),
    ("segment", 413, {}, ["too_large", "too_large"]),
    ("rudderstack", 404, "source is disabled", ["refused", "refused"]),
    ("rudderstack", 400, "request neither has anonymousId nor userId", ["too_large", "too_large"]),
]  # fmt: skip
LONG: list[tuple[str, int, int, Any, list[str]]] = [
    ("mixpanel", 2000, 400,
     {"code": 400, "failed_records": [{"index": n, "message": "x" * 150} for n in range(800)]},
     ["rejected"] * 800 + ["accepted"] * 1200),
    ("hubspot", 100, 200, {"results": [{"properties": "x" * 1500}] * 100}, ["accepted"] * 100),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "count", "status", "body", "expected"), LONG)
def test_the_longest_answers_are_read_to_their_end(
    kind: str, count: int, status: int, body: object, expected: list[str]
) -> None:
    async def story() -> None:
        async with serving(answer(status, body)) as server:
            got = await sent(opened(kind, server.url), *(message(f"u{n}") for n in range(count)))
        assert verdicts(got) == expected

    run(story())


# Of vendors that take one message a request.
SINGLE: list[tuple[str, int, Any, str]] = [
    ("onesignal", 202, {"properties": {}}, "accepted"),
    ("onesignal", 409, {"errors": []}, "retry"),
    ("onesignal", 404, {"errors": []}, "rejected"),
    ("slack", 404, "no_team", "refused"),
    ("slack", 403, "action_prohibited", "refused"),
    ("slack", 410, "channel_is_archived", "gone"),
    ("slack", 400, "invalid_payload", "rejected"),
    ("ga4", 204, "", "accepted"),
]


@pytest.mark.parametrize(("kind", "status", "body", "expected"), SINGLE)
def test_answers_are_read_as_the_vendor_means_them(
    kind: str, status: int, body: object, expected: str
) -> None:
    async def story() -> None:
        told = body.encode() if isinstance(body, str) else body
        async with serving(answer(status, told)) as server:
            got = await sent(opened(kind, server.url), message("u1"))
        assert verdicts(got) == [expected]

    run(story())


def test_meta_is_told_digests_as_they_are_and_more_about_the_user() -> None:
    mapping = {
        "email": digest("ann@example.com").upper(), "phone": digest("49301234567"),
        "user_data": {"fbp": "fb.1.2.3", "external_id": ["x"]},
    }  # fmt: skip
    [asked] = _asked("meta_capi", message("u1", mapped=mapping))
    [event] = json.loads(asked.body)["data"]
    assert event["user_data"] == {
        "external_id": ["x"], "em": [digest("ann@example.com")], "ph": [digest("49301234567")],
        "fbp": "fb.1.2.3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("is_pricing", {"is_pricing": {"value": "true"}}),
        ("a" * 24, {"a" * 24: {"value": "true"}}),
        ("a" * 25, {}),
    ],
)
def test_google_is_told_no_user_property_that_it_would_drop(
    name: str, expected: dict[str, object]
) -> None:
    [asked] = _asked("ga4", message("u1", mapped={"property": name}))
    assert json.loads(asked.body)["user_properties"] == expected


def _asked(kind: str, *messages: Message) -> list[Asked]:
    async def story() -> list[Asked]:
        async with serving(answer(200, {})) as server:
            await delivered(kind, server.url, *messages)
        return list(server.asked)

    return run(story())


@pytest.mark.parametrize(("kind", "status", "body", "expected"), PARTIAL)
def test_partial_failures_are_read(
    kind: str, status: int, body: object, expected: list[str]
) -> None:
    async def story() -> None:
        async with serving(answer(status, body)) as server:
            got = await sent(opened(kind, server.url), *pair(kind))
        assert verdicts(got) == expected

    run(story())


def test_entries_and_exits_of_a_list_keep_each_users_order() -> None:
    async def story() -> None:
        messages = [
            message("a", sequence=1), message("b", entered=False, sequence=2),
            message("c", sequence=3), message("a", entered=False, sequence=4),
            message("b", sequence=5),
        ]  # fmt: skip
        async with serving(answer(200, {"failCount": 0})) as server:
            got = await sent(opened("iterable", server.url), *messages)
        assert verdicts(got) == ["accepted"] * 5
        told = [
            (one.target, [user["userId"] for user in json.loads(one.body)["subscribers"]])
            for one in server.asked
        ]
        assert [(target.rpartition("/")[2], users) for target, users in told] == [
            ("subscribe", ["a", "c"]), ("unsubscribe", ["b", "a"]), ("subscribe", ["b"]),
        ]  # fmt: skip
        async with serving(answer(503)) as server:
            got = await sent(opened("iterable", server.url), *messages)
        assert verdicts(got) == ["retry"] * 5
        assert len(server.asked) == 1, "after the first that is in doubt nothing more is sent"

    run(story())


@pytest.mark.parametrize("name", VENDORS)
def test_its_declaration_is_a_sound_one(name: str) -> None:
    preset = presets()[name]
    url = {key: "https://vendor.example" for key in ("endpoint", "url") if key in preset.options}
    assert list(flaws(preset.declared({**OPTIONS[name], **url}), frozenset({"options"}))) == []
    assert preset.documentation.startswith("https://")


def test_options_are_checked_and_secrets_come_from_the_environment() -> None:
    def messages(text: str, **environment: str) -> list[str]:
        found = compiled(f"destinations: {{d: {{{text}}}}}", environment).diagnostics
        assert "canary" not in "".join(one.to_text() for one in found)
        return [one.message for one in found]

    assert messages("type: brase") == [
        f"'type' must be one of {_types()}, not 'brase'",
    ]
    assert messages("type: braze, endpoint: https://x.example") == [
        "'braze' needs 'api_key', which is missing"
    ]
    assert messages("type: braze, api_key: canary, endpoint: https://x.example") == [
        "'api_key' is a secret, and stands in the file as it is"
    ]
    assert messages("type: segment, write_key: '${K}'", K="canary\n") == ["this is one line"]
    assert messages("type: slack, url: '${U}'", U="https://127.0.0.1/canary") == [
        "the host is in an inner network"
    ]
    assert messages("type: slack, url: '${U}'", U="https://hooks.slack.com/services/canary") == []


def _types() -> str:
    from audience_dsl.diagnostics import listed
    from connectors.destinations.registry import KINDS, OPTIONS

    assert set(KINDS) <= set(OPTIONS)
    return listed(OPTIONS)


def test_limits_are_the_vendors_unless_told_otherwise() -> None:
    klaviyo = opened("klaviyo", "https://a.example").capacity
    assert [(one.count, one.seconds) for one in klaviyo.windows] == [(350, 1), (3500, 60)]
    assert (klaviyo.messages, klaviyo.requests) == (1, 8)
    own = opened("segment", "https://a.example", batch=5, concurrency=2).capacity
    assert (own.messages, own.requests, own.windows) == (5, 2, ())
