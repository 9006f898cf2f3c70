"""The requests that vendors' documentation asks for, written out for two transitions.

u1 has entered, with a mapping, and u2 has exited, without one.  The instants are
2026-03-01T10:00:00.25Z, which is 1772359200 s since 1970.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ID1, ID2 = f"{1:032x}", f"{2:032x}"
AT, SECONDS, MILLISECONDS = "2026-03-01T10:00:00.250000Z", 1_772_359_200, 1_772_359_200_250


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def basic(user: str, password: str = "") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@dataclass(frozen=True)
class Expected:
    target: str
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


def _track(number: str, user: str, event: str, properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "track", "messageId": number, "timestamp": AT, "userId": user, "event": event,
        "properties": properties,
        "context": {
            "library": {"name": "usher"},
            "personas": {"computation_class": "audience", "computation_key": "pricing"},
        },
    }  # fmt: skip


_SEGMENT = [
    Expected(
        "/v1/batch",
        {
            "batch": [
                _track(
                    ID1, "seg-1", "Audience Entered",
                    {"plan": "free", "audience_key": "pricing", "pricing": True},
                ),
                _track(
                    ID2, "u2", "Audience Exited", {"audience_key": "pricing", "pricing": False}
                ),
            ]
        },
        basic("wk-canary"),
    )
]  # fmt: skip
_PROPERTIES = {"properties": {"plan": "free"}}


def _klaviyo(number: str, event: str, properties: object, profile: object) -> Expected:
    return Expected(
        "/api/events/",
        {
            "data": {
                "type": "event",
                "attributes": {
                    "unique_id": number,
                    "time": AT,
                    "properties": properties,
                    "metric": {"data": {"type": "metric", "attributes": {"name": event}}},
                    "profile": {"data": {"type": "profile", "attributes": profile}},
                },
            }
        },
        {"authorization": "Klaviyo-API-Key pk_canary", "revision": "2025-01-15"},
    )


# By preset: the mapping of u1, and the requests.
VENDORS: Mapping[str, tuple[Mapping[str, object], list[Expected]]] = {
    "segment": ({"user_id": "seg-1", **_PROPERTIES}, _SEGMENT),
    "rudderstack": ({"user_id": "seg-1", **_PROPERTIES}, _SEGMENT),
    "hightouch_events": ({"user_id": "seg-1", **_PROPERTIES}, _SEGMENT),
    "braze": (
        {"external_id": "b1", "attributes": {"vip": True}, **_PROPERTIES},
        [
            Expected(
                "/users/track",
                {
                    "attributes": [
                        {"vip": True, "external_id": "b1", "audience_pricing": True},
                        {"external_id": "u2", "audience_pricing": False},
                    ],
                    "events": [
                        {
                            "external_id": "b1", "name": "Audience Entered", "time": AT,
                            "properties": {"plan": "free", "audience_key": "pricing"},
                        },
                        {
                            "external_id": "u2", "name": "Audience Exited", "time": AT,
                            "properties": {"audience_key": "pricing"},
                        },
                    ],
                },
                {"authorization": "Bearer key-canary"},
            )
        ],
    ),
    "iterable": (
        {},
        [
            Expected(
                "/api/lists/subscribe",
                {"listId": 7, "subscribers": [{"userId": "u1", "preferUserId": True}]},
                {"api-key": "key-canary"},
            ),
            Expected(
                "/api/lists/unsubscribe",
                {"listId": 7, "subscribers": [{"userId": "u2"}], "channelUnsubscribe": False},
                {"api-key": "key-canary"},
            ),
        ],
    ),
    "klaviyo": (
        {"profile": {"email": "ann@example.com"}, **_PROPERTIES},
        [
            _klaviyo(
                ID1, "Audience Entered",
                {"plan": "free", "audience_key": "pricing", "pricing": True},
                {"external_id": "u1", "email": "ann@example.com"},
            ),
            _klaviyo(
                ID2, "Audience Exited", {"audience_key": "pricing", "pricing": False},
                {"external_id": "u2"},
            ),
        ],
    ),
    "customerio": (
        {"id": "c1", "attributes": {"plan": "free"}},
        [
            Expected(
                "/api/v2/batch",
                {
                    "batch": [
                        {
                            "type": "person", "action": "event", "identifiers": {"id": "c1"},
                            "name": "audience_entered", "timestamp": SECONDS,
                            "attributes": {
                                "plan": "free", "audience": "pricing", "transition_id": ID1,
                            },
                        },
                        {
                            "type": "person", "action": "event", "identifiers": {"id": "u2"},
                            "name": "audience_exited", "timestamp": SECONDS,
                            "attributes": {"audience": "pricing", "transition_id": ID2},
                        },
                    ]
                },
                basic("site", "key-canary"),
            )
        ],
    ),
    "hubspot": (
        {"id": "ann@example.com", **_PROPERTIES},
        [
            Expected(
                "/crm/v3/objects/contacts/batch/upsert",
                {
                    "inputs": [
                        {
                            "idProperty": "email", "id": "ann@example.com",
                            "properties": {"plan": "free", "in_pricing": "true"},
                        },
                        {
                            "idProperty": "email", "id": "u2",
                            "properties": {"in_pricing": "false"},
                        },
                    ]
                },
                {"authorization": "Bearer token-canary"},
            )
        ],
    ),
    "amplitude": (
        {"user_properties": {"vip": True}, **_PROPERTIES},
        [
            Expected(
                "/2/httpapi",
                {
                    "api_key": "key-canary",
                    "events": [
                        {
                            "user_id": "u1", "event_type": "Audience Entered",
                            "time": MILLISECONDS, "insert_id": ID1,
                            "event_properties": {
                                "plan": "free", "audience_key": "pricing", "pricing": True,
                            },
                            "user_properties": {
                                "$set": {"vip": True, "audience_pricing": True},
                            },
                        },
                        {
                            "user_id": "u2", "event_type": "Audience Exited",
                            "time": MILLISECONDS, "insert_id": ID2,
                            "event_properties": {"audience_key": "pricing", "pricing": False},
                            "user_properties": {"$set": {"audience_pricing": False}},
                        },
                    ],
                    "options": {"min_id_length": 1},
                },
            )
        ],
    ),
    "mixpanel": (
        {"distinct_id": "m1", **_PROPERTIES},
        [
            Expected(
                "/import?strict=1&project_id=99",
                [
                    {
                        "event": "Audience Entered",
                        "properties": {
                            "plan": "free", "time": MILLISECONDS, "distinct_id": "m1",
                            "$insert_id": ID1, "audience_key": "pricing", "pricing": True,
                        },
                    },
                    {
                        "event": "Audience Exited",
                        "properties": {
                            "time": MILLISECONDS, "distinct_id": "u2", "$insert_id": ID2,
                            "audience_key": "pricing", "pricing": False,
                        },
                    },
                ],
                {**basic("service", "key-canary"), "content-encoding": "gzip"},
            )
        ],
    ),
    "onesignal": (
        {"external_id": "o/1?", "tags": {"plan": "free"}},
        [
            Expected(
                "/apps/app/users/by/external_id/o%2F1%3F",
                {"properties": {"tags": {"plan": "free", "audience_pricing": "1"}}},
                {"authorization": "Key key-canary"},
                "PATCH",
            ),
            Expected(
                "/apps/app/users/by/external_id/u2",
                {"properties": {"tags": {"audience_pricing": ""}}},
                {"authorization": "Key key-canary"},
                "PATCH",
            ),
        ],
    ),
    "meta_capi": (
        {"email": " Ann@Example.com ", "phone": "+49 30 1234567", "custom_data": {"plan": "free"}},
        [
            Expected(
                "/v25.0/123/events?access_token=token-canary",
                {
                    "data": [
                        {
                            "event_name": "AudienceEntered", "event_time": SECONDS,
                            "event_id": ID1, "action_source": "system_generated",
                            "user_data": {
                                "external_id": [digest("u1")],
                                "em": [digest("ann@example.com")],
                                "ph": [digest("49301234567")],
                            },
                            "custom_data": {"plan": "free", "audience_key": "pricing"},
                        },
                        {
                            "event_name": "AudienceExited", "event_time": SECONDS,
                            "event_id": ID2, "action_source": "system_generated",
                            "user_data": {"external_id": [digest("u2")]},
                            "custom_data": {"audience_key": "pricing"},
                        },
                    ]
                },
            )
        ],
    ),
    "ga4": (
        {"client_id": "123.456", "params": {"plan": "free"}},
        [
            Expected(
                "/mp/collect?measurement_id=G-1&api_secret=key-canary",
                {
                    "client_id": "123.456", "user_id": "u1",
                    "timestamp_micros": MILLISECONDS * 1000,
                    "user_properties": {"audience_pricing": {"value": "true"}},
                    "events": [
                        {
                            "name": "audience_entered",
                            "params": {"plan": "free", "audience": "pricing"},
                        }
                    ],
                },
            ),
            Expected(
                "/mp/collect?measurement_id=G-1&api_secret=key-canary",
                {
                    "client_id": "u2", "user_id": "u2", "timestamp_micros": MILLISECONDS * 1000,
                    "user_properties": {"audience_pricing": {"value": "false"}},
                    "events": [{"name": "audience_exited", "params": {"audience": "pricing"}}],
                },
            ),
        ],
    ),
    "slack": (
        {"text": "<b> & co"},
        [
            Expected("/hook/path-canary", {"text": "&lt;b&gt; &amp; co"}),
            Expected("/hook/path-canary", {"text": "u2 exited pricing"}),
        ],
    ),
}  # fmt: skip
