"""What of an event's properties is brought along to deliveries: those that mappings name.

They are read as event conditions read them, by their declared types, and written down as one JSON
object.  A property that is missing is not in it, and neither is one whose value is very long: what
a mapping sends is a name or a number, and the journal is no place for documents.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from audience_dsl.definitions import ColumnType, Comparison
from audience_dsl.instants import format_instant
from audience_dsl.operators import read
from connectors.sources.decoding import Records
from connectors.sources.interests import Interest
from connectors.sources.paths import Path

# Bytes of one value, as JSON.
LONGEST = 4_000


class Carrier:
    """Of the event models that a record may be, the first that has a property tells its path."""

    def __init__(self, interests: Iterable[Interest]) -> None:
        wanted: dict[str, tuple[str, Path, Comparison]] = {}
        for interest in interests:
            for alias in sorted(interest.carried - wanted.keys()):
                of = Comparison(alias, "exists", True, interest.model.properties[alias].type)
                wanted[alias] = json.dumps(alias), interest.path_of(of), of
        self._wanted = list(wanted.values())

    def of(self, records: Records, row: int) -> str | None:
        """What a record brings along."""
        written = []
        for alias, path, of in self._wanted:
            text = _written(of, records.column(path).value(row))
            if text is not None:
                written.append(f"{alias}:{text}")
        return f"{{{','.join(written)}}}" if written else None


def _written(of: Comparison, raw: object) -> str | None:
    value = read(of, raw)
    if value is None:
        return None
    if of.type is ColumnType.TIMESTAMP:
        value = format_instant(value)
    text = json.dumps(value, separators=(",", ":"))
    return text if len(text) <= LONGEST else None
