"""Which listeners a record's name leads to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from connectors.sources.carrying import Carrier
from connectors.sources.combinations import Combinations
from connectors.sources.decoding import Records
from connectors.sources.format import Format
from connectors.sources.interests import Interest, Reading
from connectors.sources.matching import ConditionSets, Listener
from connectors.sources.paths import parse_path
from connectors.sources.tokens import Tokens
from connectors.sources.vocabulary import LOOKED_UP, REMEMBERED, UNKNOWN, Vocabulary
from engine.plan import Int32s, Int64s


class Router:
    """The route of each record by its values at the format's naming paths; 0 is none.

    A record is taken in each of the `readings` for which its route has a listener.
    """

    def __init__(
        self, interests: Sequence[Interest], format: Format, sets: Mapping[str, ConditionSets]
    ) -> None:
        self._format = format
        self._sets = sets
        self._naming = {parse_path(path): _Names() for path in format.naming}
        self._combinations = Combinations(self._route_of)
        self._by_type: dict[str, list[Interest]] = {}
        for interest in interests:
            self._by_type.setdefault(interest.model.type, []).append(interest)
        self._numbers: dict[tuple[str, ...], int] = {(): 0}
        self.readings = list(dict.fromkeys(interest.reading for interest in interests))
        self._routes: list[dict[Reading, Listener]] = [{}]
        self._carriers: list[dict[str, Carrier]] = [{}]

    def of(self, records: Records) -> Int32s:
        """The number of each record's route."""
        if any(names.is_full for names in self._naming.values()):
            for names in self._naming.values():
                names.forget()
            self._combinations.forget()
        columns = [names.of(records.column(path)) for path, names in self._naming.items()]
        return self._combinations.of(columns, [len(one.values) for one in self._naming.values()])

    def listeners(self, reading: Reading) -> list[Listener | None]:
        """For each route the listener of a reading, if it has one."""
        return [route.get(reading) for route in self._routes]

    def carriers(self, parent: str) -> list[Carrier | None]:
        """For each route what its records bring along to deliveries of a parent model."""
        return [route.get(parent) for route in self._carriers]

    def _route_of(self, numbers: tuple[int, ...]) -> int:
        known = zip(self._naming.values(), numbers, strict=True)
        values = tuple(names.values[number] for names, number in known)
        names = tuple(name for name in self._format.names_of(values) if name in self._by_type)
        if names not in self._numbers:
            self._numbers[names] = len(self._routes)
            interests = [one for name in names for one in self._by_type[name]]
            self._routes.append(self._listeners(interests))
            self._carriers.append(_carriers(interests))
        return self._numbers[names]

    def _listeners(self, interests: Iterable[Interest]) -> dict[Reading, Listener]:
        by_reading: dict[Reading, list[Interest]] = {}
        for interest in interests:
            by_reading.setdefault(interest.reading, []).append(interest)
        return {
            reading: Listener(interested, self._sets[reading.parent])
            for reading, interested in by_reading.items()
        }


def _carriers(interests: Iterable[Interest]) -> dict[str, Carrier]:
    by_parent: dict[str, list[Interest]] = {}
    for interest in interests:
        if interest.carried:
            by_parent.setdefault(interest.reading.parent, []).append(interest)
    return {parent: Carrier(interested) for parent, interested in by_parent.items()}


# By kind: nothing, texts, and what is no text.
_OF_KIND = np.array([0, LOOKED_UP, LOOKED_UP, 1, 1], dtype=np.int64)


class _Names:
    """The values that have occurred at one naming path, numbered: 0 is none, 1 is no text."""

    def __init__(self) -> None:
        self._vocabulary = Vocabulary()
        self.forget()

    @property
    def is_full(self) -> bool:
        return len(self.values) > REMEMBERED

    def forget(self) -> None:
        self.values: list[object] = [None, False]
        self._numbers: dict[object, int] = {}
        self._vocabulary.clear()

    def of(self, tokens: Tokens) -> Int64s:
        found, unknown = self._vocabulary.find(tokens, _OF_KIND)
        for i in np.flatnonzero(found == UNKNOWN).tolist() if unknown else ():
            value = tokens.value(i)
            if value not in self._numbers:
                self._numbers[value] = len(self.values)
                self.values.append(value)
                self._vocabulary.put(tokens, i, self._numbers[value])
            found[i] = self._numbers[value]
        return found
