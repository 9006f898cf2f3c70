"""A request to the collector, and what it carries."""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from connectors.sources.exact import Unreadable
from connectors.sources.requests.encoded import from_base64

MOST_BYTES = 4 << 20  # of a body, decompressed
MOST_EVENTS = 10_000  # of a batch
MOST_EVENT_BYTES = 64 << 10
MOST_DEPTH = 64  # of lists and objects in an event

# Of all events of a request, written out.  What a batch says of all its events at once stands in
# each of them, so a body that is small may have large ones.
MOST_REQUEST_BYTES = 16 << 20

# What any body may become, and how many times its length what a long one may.  Clients send no more
# than 500 KB at once; and what repeats itself, as the events of a batch may, becomes a fraction.
_SHORT, _MOST_RATIO = 1 << 20, 100

# Clients send one.  Each is cut from what follows it, which is copied.
_MOST_MEMBERS = 100

_GZIP = b"\x1f\x8b"


def _random_id() -> str:
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class Request:
    """`path` has no query; `query` and `headers` are pairs in their order, already unescaped.

    `visitor_address` is that of a browser, and empty for what servers send: it would be theirs.
    `network_user` is who Snowplow's cookie says that a browser is.  `new_id` gives an id that no
    event has.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)
    received_at: int
    visitor_address: str = ""
    network_user: str = ""
    new_id: Callable[[], str] = _random_id

    def header(self, name: str) -> str | None:
        found = (value for key, value in self.headers if key.lower() == name.lower())
        return next(found, None)

    def parameter(self, name: str) -> str | None:
        return next((value for key, value in self.query if key == name), None)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event, or a whole body, that could not be read: why, and how it begins.

    `sender` is who it says that it is from, if it has got that far.
    """

    reason: str
    excerpt: str
    sender: str = ""


@dataclass(slots=True)
class Received:
    """The events of a request in the form of the vendor's pipeline; each stands on its own."""

    events: list[dict[str, object]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


class TooLong(ValueError):
    """A request of which nothing is kept, since not all of it can be; the text tells its sender."""


def content_of(request: Request) -> bytes:
    """The body without a byte order mark, decompressed if it is so, whatever the headers say.

    Raises:
        Unreadable: it is damaged.
        TooLong: it is larger than `MOST_BYTES`, or than what its length allows.
    """
    body = request.body
    if body.startswith(_GZIP):
        body = _decompressed(body)
    if len(body) > MOST_BYTES:
        raise TooLong(f"a body has more than {MOST_BYTES:,} bytes; send fewer events in each")
    return body.removeprefix(BOM_UTF8)


def write_key_of(request: Request, content: object) -> str | None:
    """Who sends: by basic authorization, else the query, the body, or its first event."""
    if key := _user_of(request.header("authorization") or ""):
        return key
    batch = content.get("batch") if isinstance(content, Mapping) else None
    first = batch[0] if isinstance(batch, list) and batch else None
    holders = [one for one in (content, first) if isinstance(one, Mapping)]
    told = [request.parameter("writeKey"), *(one.get("writeKey") for one in holders)]
    return next((one for one in told if isinstance(one, str) and one), None)


def _user_of(authorization: str) -> str:
    """The user of basic authorization; empty if it is of another kind, or damaged.

    Segment's client for Roku writes a colon behind the scheme, and none behind the user.
    """
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower().removesuffix(":") != "basic":
        return ""
    try:
        decoded = from_base64(credentials.strip())
    except Unreadable:
        return ""
    return decoded.decode("utf-8", "replace").partition(":")[0]


def _decompressed(body: bytes) -> bytes:
    """All members of a gzip body, and never more than is allowed."""
    most = min(MOST_BYTES, max(_SHORT, _MOST_RATIO * len(body)))
    parts: list[bytes] = []
    size = 0
    while body.startswith(_GZIP):
        if len(parts) == _MOST_MEMBERS:
            raise Unreadable(f"gzip of more than {_MOST_MEMBERS} members")
        member = zlib.decompressobj(31)
        try:
            parts.append(member.decompress(body, most + 1 - size))
        except zlib.error as error:
            raise Unreadable(f"damaged gzip: {error}") from None
        size += len(parts[-1])
        if size > most:
            raise TooLong(
                f"a compressed body has more than {most:,} bytes; send fewer events in each"
            )
        if not member.eof:
            raise Unreadable("damaged gzip: it is cut off")
        body = member.unused_data
    return b"".join(parts)
