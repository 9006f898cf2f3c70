"""The columns of a project's models: those that the warehouse tells, and those remembered.

A snapshot remembers the columns that its rows had.  So a job starts while the warehouse is down,
and whoever looks at its state does not wait for a warehouse that does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from audience_dsl import Unreachable
from audience_dsl.definitions import ColumnType, ParentModel, Settings
from audience_dsl.models import Model
from warehouse.columns import read_columns
from warehouse.errors import WarehouseError
from warehouse.snapshot import current, source_digest

_Columns = Mapping[str, ColumnType]


class Remembered(Enum):
    """When columns are remembered: never, where they cannot be had otherwise, or at first."""

    NEVER = auto()
    WHERE_NEEDED = auto()
    FIRST = auto()


class WarehouseColumns:
    """Each method is an `audience_dsl.models.Columns`.  A model is asked for once.

    Relative paths start from `root`, below which the snapshots are, too.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._answers: dict[str, _Columns | Unreachable] = {}
        self._known: dict[str, _Columns] = {}  # by `source_digest`

    def asked(self, warehouse: Settings | None, model: Model) -> _Columns | Unreachable:
        """What the warehouse says."""
        name = f"{type(model).__name__} {model.key}"
        if name not in self._answers:
            try:
                self._answers[name] = read_columns(self._root, warehouse, model)
            except WarehouseError as error:
                self._answers[name] = Unreachable(str(error))
        return self._answers[name]

    def unasked(self, warehouse: Settings | None, model: Model) -> _Columns | Unreachable:
        """What is remembered; the warehouse is asked where nothing is."""
        return self._remembered(model) or self.asked(warehouse, model)

    def reached(self, warehouse: Settings | None, model: Model) -> _Columns | Unreachable:
        """What the warehouse says, or is remembered if it cannot be asked."""
        answer = self.asked(warehouse, model)
        # Declared columns may be newer than what is remembered.
        if model.properties or not isinstance(answer, Unreachable):
            return answer
        return self._remembered(model) or answer

    def widened(self, warehouse: Settings | None, model: Model) -> _Columns | Unreachable:
        """The same, and the columns that have gone since the snapshot was pulled.

        Definitions that need them are no mistake: what a warehouse has lost is told by the next
        pull, and stops no job.
        """
        answer = self.reached(warehouse, model)
        return answer if isinstance(answer, Unreachable) else {**self._remembered(model), **answer}

    def _remembered(self, model: Model) -> _Columns:
        parent = model.key if isinstance(model, ParentModel) else model.parent_model
        with suppress(WarehouseError):
            snapshot = current(self._root, parent)
            if snapshot is not None:
                manifest = snapshot.manifest
                self._known[manifest.source] = manifest.columns
                self._known.update(manifest.related)
        return self._known.get(source_digest(model), {})
