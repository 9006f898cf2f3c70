"""Which listeners a record's name leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from connectors.sources.format import Format
from connectors.sources.interests import Interest, Reading
from connectors.sources.matching import ConditionSets, Listener
from connectors.sources.paths import Path, parse_path
from connectors.sources.shape import Column, Record
from engine.plan import Int64s

_ROUTES = 1 << 16


class Router(dict[tuple[object, ...], int]):
    """The route of each record by its values at the format's naming paths; 0 is none.

    A record is taken in each of the `readings` for which its route has a listener.
    """

    def __init__(
        self,
        interests: Sequence[Interest],
        format: Format,
        sets: Mapping[str, ConditionSets],
        column: Callable[[Path], Column],
    ) -> None:
        super().__init__()
        self._format = format
        self._sets = sets
        self._column = column
        self._naming = [column(parse_path(path)) for path in format.naming]
        self._by_type: dict[str, list[Interest]] = {}
        for interest in interests:
            self._by_type.setdefault(interest.model.type, []).append(interest)
        self._numbers: dict[tuple[str, ...], int] = {(): 0}
        self.readings = list(dict.fromkeys(interest.reading for interest in interests))
        self._routes: list[dict[Reading, Listener]] = [{}]

    def of(self, records: Sequence[Record]) -> Int64s:
        """The number of each record's route."""
        columns = [naming(records) for naming in self._naming]
        try:
            found = map(self.__getitem__, zip(*columns, strict=True))
            return np.fromiter(found, np.int64, len(records))
        except TypeError:  # a name that is an array or an object
            texts = (
                [one if isinstance(one, str) else None for one in column] for column in columns
            )
            found = map(self.__getitem__, zip(*texts, strict=True))
            return np.fromiter(found, np.int64, len(records))

    def listeners(self, reading: Reading) -> list[Listener | None]:
        """For each route the listener of a reading, if it has one."""
        return [route.get(reading) for route in self._routes]

    def __missing__(self, values: tuple[object, ...]) -> int:
        names = tuple(name for name in self._format.names_of(values) if name in self._by_type)
        if names not in self._numbers:
            self._numbers[names] = len(self._routes)
            self._routes.append(self._listeners(names))
        if len(self) >= _ROUTES:
            self.clear()
        self[values] = number = self._numbers[names]
        return number

    def _listeners(self, names: Iterable[str]) -> dict[Reading, Listener]:
        by_reading: dict[Reading, list[Interest]] = {}
        for interest in (one for name in names for one in self._by_type[name]):
            by_reading.setdefault(interest.reading, []).append(interest)
        return {
            reading: Listener(interested, self._sets[reading.parent], self._column)
            for reading, interested in by_reading.items()
        }
