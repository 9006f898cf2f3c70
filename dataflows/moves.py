"""Who moves as one snapshot follows another, found out before it takes force.

To compare snapshots of millions of users takes a good part of a second.  A thread of a running job
does that ahead of the switch; no event waits for it.
"""

from __future__ import annotations

from engine.difference import Difference, difference_of_group
from engine.hashing import GROUPS
from warehouse.snapshot import WarehouseSnapshot

_Versions = tuple[str, str]


class Moves:
    """Of each parent model, the last that were found out; they may be asked for in any thread."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[_Versions, list[Difference]]] = {}

    def find_out(
        self, parent_model: str, before: WarehouseSnapshot, after: WarehouseSnapshot
    ) -> None:
        """Compare two versions, both with the bits of the same predicates."""
        found = [
            difference_of_group(before.snapshot, after.snapshot, group) for group in range(GROUPS)
        ]
        self._found[parent_model] = (before.version, after.version), found

    def of(self, parent_model: str, before: str, after: str, group: int) -> Difference | None:
        """What moves in a key group from one version to another; `None`: that is not known."""
        versions, found = self._found.get(parent_model, (("", ""), []))
        return found[group] if versions == (before, after) else None
