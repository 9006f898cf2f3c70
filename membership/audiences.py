"""The store's numbers of audiences.

A number is given once and never changes, also when the audience is removed from the project: its
members and its transitions are still recorded under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from membership.database import Database
from membership.facts import AudienceName


class AudienceNumbers:
    """What is stored is remembered: numbers never change, so memory is never wrong."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[AudienceName, int] = {}
        self._names: dict[int, AudienceName] = {}

    def given(self, parent_model: str, audiences: Sequence[str]) -> list[int]:
        """The numbers of these audiences; who has none is given one, in a transaction."""
        names = [AudienceName(parent_model, audience) for audience in audiences]
        if any(name not in self._numbers for name in names):
            with self._database.exclusive():
                self._read()
                missing = [name for name in names if name not in self._numbers]
                for number, name in enumerate(missing, len(self._numbers) + 1):
                    self._database.execute(
                        "INSERT INTO audiences VALUES (?, ?, ?)", (number, *name)
                    )
            self._read()
        return [self._numbers[name] for name in names]

    def number(self, parent_model: str, audience: str) -> int | None:
        """`None` if nothing of that audience was ever recorded."""
        name = AudienceName(parent_model, audience)
        if name not in self._numbers:
            self._read()
        return self._numbers.get(name)

    def names(self, numbers: Iterable[int]) -> list[AudienceName]:
        wanted = list(numbers)
        if any(number not in self._names for number in wanted):
            self._read()
        return [self._names[number] for number in wanted]

    def of_parent_model(self, parent_model: str) -> list[int]:
        self._read()
        return [n for n, name in self._names.items() if name.parent_model == parent_model]

    def of_audience(self, audience: str) -> list[int]:
        """One, as audiences of all parent models share their keys."""
        self._read()
        return [n for n, name in self._names.items() if name.audience == audience]

    def _read(self) -> None:
        for number, parent_model, audience in self._database.query(
            "SELECT number, parent_model, audience FROM audiences"
        ):
            name = AudienceName(parent_model, audience)
            self._numbers[name] = number
            self._names[number] = name
