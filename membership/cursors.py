"""How far each reader of the journal that must miss nothing has come.

A sync's lane has a cursor: the position up to which everything was delivered or given up with a
reason.  The journal is never pruned past one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from membership.database import Database


class Cursors:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, int]:
        """Every cursor's position, by name."""
        return dict(self._database.query("SELECT name, position FROM cursors ORDER BY name"))

    def open(self, names: Sequence[str]) -> dict[str, int]:
        """These cursors' positions; a new one starts at the journal's end: what follows is its."""
        with self._database.transaction():
            for name in names:
                self._database.execute(
                    "INSERT INTO cursors SELECT ?, position FROM journal_end WHERE true "
                    "ON CONFLICT (name) DO NOTHING",
                    (name,),
                )
            known = self.all()
        return {name: known[name] for name in names}

    def advance(self, positions: Mapping[str, int]) -> None:
        """Move cursors on, all or none; one that is there already, or further, stays."""
        with self._database.transaction():
            for name, position in positions.items():
                self._database.execute(
                    "UPDATE cursors SET position = ? WHERE name = ? AND position < ?",
                    (position, name, position),
                )

    def forget(self, name: str) -> None:
        """Remove the cursor of a sync that is no more, so that it holds back nothing."""
        with self._database.transaction():
            self._database.execute("DELETE FROM cursors WHERE name = ?", (name,))
