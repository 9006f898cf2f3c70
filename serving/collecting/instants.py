"""When an event happened, said once.

An event is known again by whose it is, its id and its time.  But where a client's clock is wrong,
the time by ours follows from when a request was sent and came, which differs for each attempt to
send the event.  So that of the first attempt holds, as long as it is among the latest; also after
a restart, from the log.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

import msgspec

from connectors.collected.errors import LogDamaged
from connectors.collected.recording import read_segment
from connectors.collected.segments import find_segments
from connectors.sources.formats import FORMATS

_MOST = 100_000
_SEGMENTS = 2  # the last one may have just begun

# The client's own time of an event, which is the same for each attempt.
_ORIGINALS = {"snowplow": "dvce_created_tstamp"}
_ORIGINAL = "originalTimestamp"


class FirstInstants:
    """Of the latest events of one source; used from several threads."""

    def __init__(self, form: str) -> None:
        told = FORMATS[form]
        original = _ORIGINALS.get(form, _ORIGINAL)
        self._known_by = (told.message_id, original)
        self._identities = told.identities
        self._time = told.timestamp
        # An ordinary dict that is full takes the longer to find its first, the more have gone.
        self._known: OrderedDict[int, object] = OrderedDict()
        self._lock = threading.Lock()

    def settle(self, event: MutableMapping[str, object]) -> None:
        """Give an event the time that it had when it was sent for the first time."""
        with self._lock:
            event[self._time] = self._first(event)

    def recall(self, folder: Path) -> None:
        """Know what the end of a log has.

        What is damaged there is passed over: the job tells of it, and collecting goes on.

        Raises:
            OSError: it cannot be read.
        """
        for segment in find_segments(folder)[-_SEGMENTS:]:
            with segment.path.open("rb") as file, suppress(LogDamaged):
                size = segment.end - segment.base
                for chunk in read_segment(segment.path, 0, file.fileno(), size):
                    for place in range(len(chunk.lines.starts)):
                        self._first(msgspec.json.decode(chunk.line(place)))

    def _first(self, event: Mapping[str, object]) -> object:
        who = next(filter(None, map(event.get, self._identities)), None)
        key = hash((str(who), *(str(event.get(name)) for name in self._known_by)))
        first = self._known.setdefault(key, event.get(self._time))
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return first
