"""Which format records are in, told by the fields that only its vendor writes."""

from __future__ import annotations

from connectors.sources.chunks import Chunk
from connectors.sources.decoding import read_object
from connectors.sources.exact import Unreadable

_LOOKED_AT = 50


def detect(chunk: Chunk) -> str:
    """The name of the format of a chunk's records.

    The first record that tells decides.  Where none does, the format is Segment's: the other forms
    of its family differ from it in nothing that is read.
    """
    for row in chunk.rows[:_LOOKED_AT]:
        if name := _vendor(dict(row)):
            return name
    for place in range(min(len(chunk.lines.starts), _LOOKED_AT)):
        line = chunk.line(place)
        if not line.startswith(b"{") and line.count(b"\t") >= 100:
            return "snowplow"
        try:
            name = _vendor(read_object(line))
        except Unreadable:
            continue
        if name:
            return name
    return "segment"


def _vendor(record: dict[str, object]) -> str | None:
    if "event_id" in record and ("collector_tstamp" in record or "derived_tstamp" in record):
        return "snowplow"
    if "rudderId" in record or "request_ip" in record:
        return "rudderstack"
    context = record.get("context")
    library = context.get("library") if isinstance(context, dict) else None
    name = library.get("name") if isinstance(library, dict) else None
    if isinstance(name, str) and ("events-sdk" in name or "ht-sdks" in name):
        return "hightouch"
    return "segment" if "messageId" in record else None
