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
from connectors.sources.tokens import MISSING
from engine.plan import Int64s

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

    def of(self, records: Records, rows: Int64s) -> list[str | None]:
        """What each of some records brings along; equal values are read once."""
        found: list[list[str]] = [[] for _ in rows]
        for alias, path, of in self._wanted:
            column = records.column(path)
            data = column.data.data
            known: dict[tuple[int, bytes], str | None] = {}
            places = zip(
                found,
                rows.tolist(),
                column.kinds[rows].tolist(),
                column.begins[rows].tolist(),
                column.ends[rows].tolist(),
                strict=True,
            )
            for own, row, kind, begin, end in places:
                if kind == MISSING:
                    continue
                value = kind, bytes(data[begin:end])
                if value not in known:
                    text = _written(of, column.value(row))
                    known[value] = None if text is None else f"{alias}:{text}"
                written = known[value]
                if written is not None:
                    own.append(written)
        return [f"{{{','.join(own)}}}" if own else None for own in found]


def _written(of: Comparison, raw: object) -> str | None:
    value = read(of, raw)
    if value is None:
        return None
    if of.type is ColumnType.TIMESTAMP:
        value = format_instant(value)
    text = json.dumps(value, separators=(",", ":"))
    return text if len(text) <= LONGEST else None
