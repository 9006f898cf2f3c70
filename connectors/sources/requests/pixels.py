"""A call in the query of a pixel, as mails and pages without scripts send it.

Segment's has the whole call as JSON in base64 (`data=eyJ1c2…`).  Otherwise each parameter is one of
its values, and a name with dots leads into it: `properties.subject=Spring`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from connectors.sources.chunks import excerpt
from connectors.sources.decoding import read_object
from connectors.sources.exact import Unreadable, read_json
from connectors.sources.requests.batches import Event
from connectors.sources.requests.encoded import from_base64
from connectors.sources.requests.request import Rejected, Request

_SEGMENTS = "/v1/pixel/"
_QUOTED = re.compile('"(.*)"', re.DOTALL)


def open_query(request: Request) -> tuple[Event | None, list[Rejected]]:
    """The call in a request's query; without one, the query has been rejected."""
    data = request.parameter("data") if _SEGMENTS in request.path else None
    if data is None:
        return _nested(request.query), []
    try:
        return read_object(data.encode() if data.startswith("{") else from_base64(data)), []
    except Unreadable as error:
        return None, [Rejected(str(error), excerpt(data.encode()))]


def _nested(query: Iterable[tuple[str, str]]) -> Event:
    """The call that parameters make up; of two for one value, the first."""
    call: Event = {}
    for name, text in query:
        *outer, last = name.split(".")
        into: object = call
        for part in outer:
            into = into.setdefault(part, {}) if isinstance(into, dict) else None
        if isinstance(into, dict):
            into.setdefault(last, _value(name, text))
    return call


def _value(name: str, text: str) -> object:
    if name == "anonymousId":  # pages of AMP quote the one that they put in
        quoted = _QUOTED.fullmatch(text)
        return quoted[1] if quoted else text
    if not text.startswith(("{", "[")):
        return text
    try:
        return read_json(text)
    except Unreadable:
        return text
