"""What the plans hear in records of one format: who did it, when, and which conditions count it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from connectors.sources.chunks import Chunk
from connectors.sources.decoding import Decoded, Records
from connectors.sources.format import Format
from connectors.sources.instants import NO_INSTANT, read_instants
from connectors.sources.interests import Interest, Reading
from connectors.sources.matching import ConditionSets
from connectors.sources.paths import parse_path
from connectors.sources.routing import Router
from connectors.sources.texts import read_ids
from engine.plan import Booleans, Int32s, Int64s
from engine.texts import Texts


class Heard(NamedTuple):
    """What one reading makes of the records that it listens to; all columns have an entry each."""

    reading: Reading
    rows: Int64s  # the places among the decoded records, ascending
    users: Texts
    has_user: Booleans
    instants: Int64s  # NO_INSTANT where missing
    sets: Int32s

    @property
    def sound(self) -> Booleans:
        """Which records have a user and an instant."""
        sound: Booleans = self.has_user & (self.instants != NO_INSTANT)
        return sound


class Listening:
    """Decodes and matches records of one format.

    `with_arrivals` tells whether the format's arrival is read too.
    """

    def __init__(
        self,
        format: Format,
        interests: Sequence[Interest],
        sets: Mapping[str, ConditionSets],
        with_arrivals: bool,
    ) -> None:
        paths = {path for interest in interests for path in interest.paths()}
        paths |= {parse_path(path) for path in format.naming}
        arrival = parse_path(format.arrival)
        if with_arrivals:
            paths.add(arrival)
        self._decoder = format.decoder(paths)
        self._arrival = arrival
        self._router = Router(interests, format, sets)

    def decode(self, chunk: Chunk) -> Decoded:
        return self._decoder.decode(chunk)

    def received(self, records: Records) -> Int64s:
        """When the collector received each record, `NO_INSTANT` where that is not told."""
        return read_instants(records.column(self._arrival))

    def hear(self, records: Records) -> list[Heard]:
        """What each reading hears; readings that hear nothing are left out."""
        routes = self._router.of(records)
        heard = []
        for reading in self._router.readings:
            listeners = self._router.listeners(reading)
            rows = np.flatnonzero(np.array([one is not None for one in listeners])[routes])
            if len(rows) == 0:
                continue
            users, has_user = read_ids(records.column(reading.key).taken(rows))
            instants = read_instants(records.column(reading.timestamp).taken(rows))
            sets = np.empty(len(rows), dtype=np.int32)
            for route, places in _grouped(routes[rows]):
                listener = listeners[route]
                assert listener is not None
                sets[places] = listener.sets(records, rows[places], instants[places])
            heard.append(Heard(reading, rows, users, has_user, instants, sets))
        return heard

    def cargo(self, records: Records, parent: str, rows: Int64s) -> list[str | None]:
        """What the events of some records bring along to deliveries of a parent model."""
        cargo: list[str | None] = [None] * len(rows)
        routes = self._router.of(records)[rows]
        carriers = self._router.carriers(parent)
        for route, places in _grouped(routes):
            carrier = carriers[route]
            if carrier is not None:
                found = carrier.of(records, rows[places])
                for place, one in zip(places.tolist(), found, strict=True):
                    cargo[place] = one
        return cargo


def _grouped(routes: Int32s) -> list[tuple[int, Int64s]]:
    """Each route that occurs, with its places."""
    order = np.argsort(routes.astype(np.int16), kind="stable")
    ordered = routes[order]
    bounds = np.flatnonzero(np.diff(ordered)) + 1
    firsts = [0, *bounds.tolist()]
    return [
        (int(ordered[first]), places)
        for first, places in zip(firsts, np.split(order, bounds), strict=True)
    ]
