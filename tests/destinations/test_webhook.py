"""Webhooks: what is sent, and that receivers can verify it with the published library."""

from __future__ import annotations

import json
import time

import pytest
from standardwebhooks.webhooks import Webhook as Receiver
from standardwebhooks.webhooks import WebhookVerificationError

from connectors.destinations.destination import Message
from connectors.destinations.errors import DestinationError
from tests.destinations.kinds import INNER, OLD_SECRET, SECRET, message, opened, run, sent, using
from tests.destinations.servers import answer, close, serving
from tests.dsl.projects import compiled


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_receivers_verify_it_in_any_time_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        async with serving(answer(204)) as server:
            for one in (message("u1"), message("ü \u2028 \U0001f600", entered=False, sequence=2)):
                await sent(opened("webhook", server.url, secret=SECRET), one)
                asked = server.asked[-1]
                assert Receiver(SECRET).verify(asked.body, dict(asked.headers)) == one.record
                assert asked.headers["webhook-id"] == one.id
                assert list(json.loads(asked.body)) == list(one.record), "keys keep their order"
                with pytest.raises(WebhookVerificationError):
                    Receiver(OLD_SECRET).verify(asked.body, dict(asked.headers))
                with pytest.raises(WebhookVerificationError):
                    Receiver(SECRET).verify(asked.body + b" ", dict(asked.headers))

    try:
        run(story())
    finally:
        monkeypatch.undo()
        time.tzset()


def test_during_rotation_either_secret_verifies_it() -> None:
    async def story() -> None:
        async with serving(answer(200)) as server:
            destination = opened("webhook", server.url, secret=SECRET, old_secret=OLD_SECRET)
            await sent(destination, message(mapped={"userId": "u1", "plan": "free"}))
            (asked,) = server.asked
            for secret in (SECRET, OLD_SECRET):
                verified = Receiver(secret).verify(asked.body, dict(asked.headers))
                assert verified == {"userId": "u1", "plan": "free"}
            assert len(asked.headers["webhook-signature"].split(" ")) == 2

    run(story())


def test_an_id_with_a_dot_is_never_signed() -> None:
    async def story() -> None:
        one = message()
        dotted = Message("a.b", one.user_id, one.entered, one.record)
        async with serving(answer(200)) as server:
            got = await sent(opened("webhook", server.url, secret=SECRET), dotted)
            assert got.outcomes[0].verdict == "rejected"
            assert server.asked == []

    run(story())


def test_the_log_shows_neither_secrets_nor_people() -> None:
    async def story() -> None:
        mapped = {"user": "u1", "mail": "ann@example.com", "plan": "platinum-canary", "vip": True}
        said = {"error": "ann@example.com of platinum-canary is unknown"}
        async with serving(answer(422, said)) as server:
            destination = opened("webhook", server.url + "/x?token=canary", secret=SECRET)
            got = await sent(destination, message(mapped=mapped))
            shown = got.exchange.request + got.exchange.response + got.outcomes[0].reason
            for hidden in ("ann@example.com", "platinum", "canary?", "token=canary", "v1,", SECRET):
                assert hidden not in shown
            assert '"user":"u1"' in shown
            assert '"vip":true' in shown
            assert '"mail":"***"' in shown
            assert "webhook-signature: ***" in shown
            assert f"webhook-id: {message().id}" in shown
            assert got.exchange.response == '{"error": "*** of *** is unknown"}'
            assert got.exchange.status == 422

    run(story())


def test_what_would_be_sent_can_be_shown() -> None:
    async def story() -> str:
        destination = opened("webhook", "https://example.com", secret=SECRET)
        return await using(destination, lambda one: _described(one, message(mapped={"a": "x"})))

    shown = run(story())
    assert shown.startswith("POST https://example.com/hook/path-canary\n")
    assert shown.endswith('\n\n{"a":"x"}')
    assert "webhook-signature: ***" in shown


async def _described(destination, *messages: Message) -> str:
    return destination.describe(messages)


def test_it_can_be_tested_without_sending_anything() -> None:
    async def story() -> None:
        async with serving(answer(405)) as server:
            await using(opened("webhook", server.url), lambda one: one.test())
            assert [one.method for one in server.asked] == ["HEAD"]
        async with serving(close) as server:
            pass
        with pytest.raises(DestinationError, match="cannot be connected to"):
            await using(opened("webhook", server.url), lambda one: one.test())

    run(story())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "'secret' is a secret, and stands"),
        ("secret: '${SHORT}'", "this is not a secret of Standard Webhooks"),
        ("secret: '${PLAIN}'", "this is not a secret of Standard Webhooks"),
        ("old_secret: '${GOOD}'", "'old_secret' is the secret before 'secret'"),
        ("allow_private_hosts: ['https://a']", "this is neither a name nor an address"),
        ("timeout: 2h", "'timeout' cannot be '2h'"),
        ("concurrency: 0", "'concurrency' cannot be '0'"),
        ("retries: 3", "unknown key 'retries'"),
    ],
)
def test_mistakes_are_told(options: str, message: str) -> None:
    environment = {"SHORT": "whsec_c2hvcnQ=", "PLAIN": "canary", "GOOD": SECRET}
    text = f"destinations: {{d: {{type: webhook, url: https://example.com, {options}}}}}"
    (one,) = compiled(text, environment).diagnostics
    assert one.message.startswith(message)
    assert "canary" not in one.to_text()


def test_capacity_is_one_message_a_request() -> None:
    destination = opened("webhook", "https://example.com", **INNER, concurrency=20)
    assert (destination.capacity.messages, destination.capacity.requests) == (1, 20)
