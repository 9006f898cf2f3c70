"""At which paths clients of which protocol send, and by which methods.

A tracker of Snowplow may be told any path of a vendor, whose name has a dot, and a version.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, NamedTuple


class Kind(Enum):
    CALLS = auto()
    """Events of Segment's protocol, which RudderStack and Hightouch Events speak too."""
    PIXEL_CALLS = auto()
    """One event of it in a query."""
    PAYLOADS = auto()
    """Events of Snowplow's protocol."""
    NO_EVENTS = auto()
    """What clients tell their vendor of themselves."""
    HEALTH = auto()
    """Whether anybody is there, asked where a vendor's own collector would say so."""
    SETTINGS = auto()
    """What Segment's client asks first in a browser."""
    SOURCE_CONFIG = auto()
    """What RudderStack's client asks first in a browser, or on a phone."""


class Place(NamedTuple):
    """`key` is the write key that a path names, if it does."""

    kind: Kind
    key: str = ""


METHODS: Final = {
    Kind.CALLS: ("POST",),
    Kind.PIXEL_CALLS: ("GET", "HEAD"),
    Kind.PAYLOADS: ("GET", "HEAD", "POST"),
    Kind.NO_EVENTS: ("POST",),
    Kind.HEALTH: ("GET", "HEAD"),
    Kind.SETTINGS: ("GET", "HEAD"),
    Kind.SOURCE_CONFIG: ("GET", "HEAD"),
}

PIXELS: Final = ("/i", "/ice.png")
NO_EVENTS: Final = ("m", "merge", "audiencelist")
CALLS: Final = ("track", "page", "screen", "identify", "group", "alias")
BATCHES: Final = ("batch", "b", "import")

# Segment's, and RudderStack's.
PIXEL_CALLS: Final = (
    *(f"/v1/pixel/{name}" for name in CALLS),
    *(f"/pixel/v1/{name}" for name in ("track", "page")),
)

_PLACES: Final = {
    **{f"/v1/{name}": Place(Kind.CALLS) for name in (*CALLS, *BATCHES)},
    **{f"/v1/{name[0]}": Place(Kind.CALLS) for name in CALLS},
    "/beacon/v1/batch": Place(Kind.CALLS),
    **{path: Place(Kind.PIXEL_CALLS) for path in PIXEL_CALLS},
    **{path: Place(Kind.PAYLOADS) for path in PIXELS},
    **{f"/v1/{name}": Place(Kind.NO_EVENTS) for name in NO_EVENTS},
    "/health": Place(Kind.HEALTH),
    "/sourceConfig": Place(Kind.SOURCE_CONFIG),
}
_SLASHES = re.compile(r"//+")
_SETTINGS = re.compile(r"/v1/projects/([^/]+)/settings")
_VENDORS = re.compile(r"/[\w-]+\.[\w.-]+/[\w.-]+", re.ASCII)


def plain_path(path: str) -> str:
    """Without the slashes that an address of the server may have brought in or left behind."""
    return _SLASHES.sub("/", path).removesuffix("/")


def place_of(path: str) -> Place | None:
    """What a path is for; `None` if it is no client's."""
    path = plain_path(path)
    if found := _PLACES.get(path):
        return found
    if match := _SETTINGS.fullmatch(path):
        return Place(Kind.SETTINGS, match[1])
    return Place(Kind.PAYLOADS) if _VENDORS.fullmatch(path) else None
