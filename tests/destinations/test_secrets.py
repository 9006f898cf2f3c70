"""What stands in a definition for a variable is in no text for people, also within a URL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audience_dsl.definitions import Settings
from connectors.destinations.destination import Answer
from connectors.destinations.place import Place
from connectors.destinations.registry import open_destination
from tests.destinations.kinds import message, run, sent, using
from tests.destinations.servers import Asked, answer, serving
from tests.dsl.projects import compiled

TOKEN = "hgW8xTq1cANARY7fooB4rBaz"
SLACK_LIKE = f"/services/T000CANARY/B000CANARY/{TOKEN}"
INNER = "allow_http: true, allow_private_hosts: [127.0.0.1]"


def settings(text: str, **environment: str) -> Settings:
    found = compiled(f"destinations: {{d: {{{text}, {INNER}}}}}", environment)
    assert found.project is not None, [one.to_text() for one in found.diagnostics]
    return found.project.destinations["d"]


async def echoed(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """An answer that repeats all that it was told."""
    await answer(422, f"{asked.target} {asked.body.decode()}".encode())(asked, writer)


CASES = {
    "webhook": "type: webhook, url: '${URL}'",
    "webhook, in parts": "type: webhook, url: '${HOST}/services/${TEAM}/B000CANARY/${TOKEN}?x=1'",
    "http": "type: http, url: '${URL}', body: {a: 1}",
    "http, a template behind it": "type: http, url: '${URL}/{{ user_id }}?q={{ type }}'",
    "http, a template within it": "type: http, url: '${TEMPLATE}'",
    "http, one action": "type: http, url: '${HOST}/', entered: {url: '${URL}'}, exited: {}",
    "http, in the body": "type: http, url: '${HOST}/in', body: {key: 'k-${TOKEN}', u: '{{ id }}'}",
    "http, in the query": "type: http, url: '${HOST}/in', query: {key: '${TOKEN}'}",
    "slack": "type: slack, url: '${URL}'",
    "a preset's endpoint": "type: onesignal, app_id: app, api_key: '${TOKEN}', endpoint: '${URL}'",
}


@pytest.mark.parametrize("case", CASES)
def test_the_log_has_the_host_and_nothing_behind_it_that_is_secret(case: str) -> None:
    async def story() -> tuple[str, Answer, str, Asked]:
        async with serving(echoed) as server:
            environment = {
                "HOST": server.url,
                "URL": server.url + SLACK_LIKE,
                "TEMPLATE": f"{server.url}{SLACK_LIKE}/{{{{ user_id }}}}",
                "TOKEN": TOKEN,
                "TEAM": "T000CANARY",
            }
            destination = open_destination(
                settings(CASES[case], **environment), Place(Path(), lambda _: None)
            )
            described = getattr(destination, "describe", lambda _: "")([message("u1")])
            got = await sent(destination, message("u1"))
            return server.url, got, described, server.asked[0]

    url, got, described, asked = run(story())
    assert TOKEN in asked.target + asked.body.decode() + str(asked.headers), "it was sent"
    shown = got.exchange.request + got.exchange.response + got.outcomes[0].reason + described
    literal = "B000CANARY" if "${TEAM}" in CASES[case] else ""
    assert not [
        one for one in (TOKEN, "T000CANARY", "B000CANARY") if one in shown and one != literal
    ]
    assert f"{url}/" in got.exchange.request, "the host is no secret"


def test_a_url_that_stands_in_the_definitions_is_shown() -> None:
    async def story() -> str:
        async with serving(answer(204)) as server:
            one = settings(f"type: webhook, url: {server.url}/audiences/in")
            got = await sent(open_destination(one, Place(Path(), lambda _: None)), message("u1"))
            return got.exchange.request

    assert "/audiences/in\n" in run(story())


def test_defaults_stand_in_the_definitions_and_are_no_secrets() -> None:
    assert settings("type: webhook, url: 'https://a.example/${PART:-audiences}'").filled == ()


def test_a_destination_that_is_out_of_reach_is_named_by_its_host_alone() -> None:
    async def story() -> str:
        one = settings("type: slack, url: '${URL}'", URL=f"http://127.0.0.1:9{SLACK_LIKE}")
        destination = open_destination(one, Place(Path(), lambda _: None))
        got = await using(destination, lambda it: it.send([message("u1")]))
        return got.exchange.request + got.outcomes[0].reason

    shown = run(story())
    assert "CANARY" not in shown
    assert "http://127.0.0.1:9" in shown
