"""What vendors' clients ask in a browser before they send: that they may, and where to."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from serving.collecting.answers import Answer
from serving.collecting.streams import Stream

_BEGINNING = "1970-01-01T00:00:00.000Z"


def settings(write_key: str, headers: Mapping[bytes, bytes], scheme: str) -> Answer:
    """To Segment's: it sends to the host, and by the key, that it is told here."""
    host = headers.get(b"host", b"").decode("latin-1")
    every = {"__default": {"enabled": True, "integrations": {}}}
    facts = {
        "integrations": {
            "Segment.io": {"apiKey": write_key, "apiHost": f"{host}/v1", "protocol": scheme}
        },
        "plan": {"track": every, "identify": every, "group": every},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
    return Answer(200, msgspec.json.encode(facts))


def source_config(write_key: str, stream: Stream) -> Answer:
    """To RudderStack's: a source without destinations."""
    off = {"enabled": False}
    source = {
        "id": stream.key,
        "name": stream.key,
        "writeKey": write_key,
        "config": {"statsCollection": {"errors": off, "metrics": off}},
        "enabled": True,
        "createdAt": _BEGINNING,
        "updatedAt": _BEGINNING,  # here for phones, and beside the source for browsers
        "workspaceId": "usher",
        "destinations": [],
        "connections": [],
        "dataplanes": {},
    }
    return Answer(200, msgspec.json.encode({"source": source, "updatedAt": _BEGINNING}))
