"""Every destination that speaks HTTP, ready to be opened against a server of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from audience_dsl.definitions import Settings
from connectors.destinations.destination import Answer, Destination, Message
from connectors.destinations.http.presets import presets
from connectors.destinations.place import Place
from connectors.destinations.registry import open_destination

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_" + "b2xkLXNlY3JldC1vZi0yNC1ieXRlcy1vci1zbw=="
INNER = {"allow_http": True, "allow_private_hosts": ["127.0.0.1"]}

# What a preset must be told besides where to send.
OPTIONS: Mapping[str, dict[str, Any]] = {
    "segment": {"write_key": "wk-canary"},
    "rudderstack": {"write_key": "wk-canary"},
    "hightouch_events": {"write_key": "wk-canary"},
    "braze": {"api_key": "key-canary"},
    "iterable": {"api_key": "key-canary", "list_id": 7},
    "klaviyo": {"api_key": "pk_canary"},
    "customerio": {"site_id": "site", "api_key": "key-canary"},
    "hubspot": {"token": "token-canary", "property": "in_pricing"},
    "amplitude": {"api_key": "key-canary"},
    "mixpanel": {"project_id": "99", "user": "service", "password": "key-canary"},
    "onesignal": {"app_id": "app", "api_key": "key-canary"},
    "meta_capi": {"access_token": "token-canary", "pixel_id": "123"},
    "ga4": {"measurement_id": "G-1", "api_secret": "key-canary"},
    "slack": {},
}
# What the vendor answers when all is well.
ACCEPTING: Mapping[str, Any] = {"iterable": {"failCount": 0}, "mixpanel": {"code": 200}}
KINDS = ("webhook", "http", *OPTIONS)

Result = TypeVar("Result")


def settings(kind: str, server: str, /, **more: Any) -> Settings:
    options = {**INNER, **more}
    if kind in {"webhook", "http", "slack"}:
        options = {"url": f"{server}/hook/path-canary", **options}
    if kind in presets():
        options = {**OPTIONS[kind], **({} if kind == "slack" else {"endpoint": server}), **options}
    return Settings("dest", kind, options)


def opened(kind: str, server: str, /, **more: Any) -> Destination:
    return open_destination(settings(kind, server, **more), Place(Path(), lambda _: None))


async def using(
    destination: Destination, work: Callable[[Destination], Awaitable[Result]]
) -> Result:
    try:
        return await work(destination)
    finally:
        await destination.close()


async def sent(destination: Destination, *messages: Message) -> Answer:
    return await using(destination, lambda one: one.send(messages))


def run(work: Awaitable[Result]) -> Result:
    async def bounded() -> Result:
        return await asyncio.wait_for(work, 20)

    return asyncio.run(bounded())


def message(
    user: str = "u1",
    *,
    entered: bool = True,
    sequence: int = 1,
    mapped: Mapping[str, object] | None = None,
) -> Message:
    record = {
        "id": f"{sequence:032x}",
        "type": "entered" if entered else "exited",
        "audience": "pricing",
        "audience_version": "v1",
        "parent_model": "users",
        "user_id": user,
        "effective_at": "2026-03-01T10:00:00.250000Z",
        "sequence": sequence,
        "cause": {"kind": "event", "message_id": "m1"},
        "emitted_at": "2026-03-01T10:00:00.300000Z",
    }
    return Message(str(record["id"]), user, entered, record, mapped)


def verdicts(answer: Answer) -> Sequence[str]:
    return [str(one.verdict) for one in answer.outcomes]
