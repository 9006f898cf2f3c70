"""Noticing that a parent model has another snapshot, and making that a switch.

A pull publishes a version and moves the pointer, in a process of its own.  Here somebody looks at
the pointers, once a second; that costs reading a line.  A version that is new takes force when a
thread has found out whom it moves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

from connectors.sentences import Trouble
from dataflows.evaluation import Audiences
from dataflows.log_lines import tell
from dataflows.ownership import usher_folder
from dataflows.preparation import Job
from dataflows.switches import Switch, SwitchJournal
from engine.carrying import ALWAYS
from warehouse.errors import WarehouseError
from warehouse.versions import Versions

# Seconds between two looks.
_LOOKS_EVERY = 1.0

# A switch is forgotten when so many epochs have closed behind it.  When the second of them began,
# the state of the first was stored.
_EPOCHS_KEPT = 3


class Switching:
    """The switches of a job.

    Raises:
        OSError: they cannot be written down; from the methods as well.

    A version that cannot be used is left aside, with a word about it; the next one may do.
    """

    def __init__(self, job: Job) -> None:
        self._audiences = job.audiences
        self._journal = SwitchJournal(usher_folder(job.loaded.root))
        self._versions = {
            parent: Versions(one.folder.parent.parent, parent)
            for parent, one in job.audiences.snapshots.items()
        }
        self._newest = {parent: one.version for parent, one in job.audiences.snapshots.items()}
        self.repeated = tuple(map(self._usable, job.switches))
        """Those of an earlier job that key groups may not know."""
        self._use(self._newest)
        self._journaled = list(job.switches)
        self._closed: dict[int, int] = {}  # epochs behind each switch, by its instant
        if job.audiences.resumed_at != ALWAYS:
            # To whoever resumes from before this start, its snapshots are a switch like others.
            self._write_down(Switch(job.started, dict(self._newest)))
        self._looked_at = 0.0
        self._coming: _Coming | None = None

    def due(self, at: int) -> Switch | None:
        """A switch at that instant, durable, if some parent model has another snapshot by now."""
        if self._coming is None:
            self._look()
            return None
        if self._coming.is_alive():
            return None
        versions, self._coming = self._coming.versions, None
        self._use(versions)
        switch = Switch(at, versions)
        self._write_down(switch)
        return switch

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._looked_at + _LOOKS_EVERY:
            return
        self._looked_at = now
        before = dict(self._newest)
        if versions := dict(self._found()):
            self._coming = _Coming(self._audiences, before, versions)

    def _write_down(self, switch: Switch) -> None:
        self._journaled = [
            *(one for one in self._journaled if self._closed.get(one.at, 0) < _EPOCHS_KEPT),
            switch,
        ]
        self._journal.write(self._journaled)

    def close_epoch(self, told: int) -> None:
        """Note that an epoch closes in which the clock has come to an instant."""
        for one in self._journaled:
            if one.at <= told:
                self._closed[one.at] = self._closed.get(one.at, 0) + 1

    def _found(self) -> Iterator[tuple[str, str]]:
        """Parent models that have another snapshot than the last time, with its version."""
        for parent, versions in self._versions.items():
            version = versions.current_version()
            if version is not None and version != self._newest[parent]:
                self._newest[parent] = version
                if self._can_use(parent, version):
                    yield parent, version

    def _usable(self, switch: Switch) -> Switch:
        """The switch without versions that are gone, or of other definitions than the job's."""
        versions = {
            parent: version
            for parent, version in switch.versions.items()
            if parent in self._versions and self._can_use(parent, version)
        }
        self._use(versions)
        return Switch(switch.at, versions)

    def _can_use(self, parent: str, version: str) -> bool:
        try:
            self._audiences.version(parent, version)
        except WarehouseError as error:
            tell(Trouble(f"{error}; {parent} keeps the snapshot that it has"))
            return False
        return True

    def _use(self, versions: Mapping[str, str]) -> None:
        for parent, version in versions.items():
            self._versions[parent].use(version)


class _Coming(threading.Thread):
    """Finds out whom the versions move that take force next, beside the job."""

    def __init__(
        self, audiences: Audiences, before: Mapping[str, str], versions: dict[str, str]
    ) -> None:
        super().__init__(name="usher-moves", daemon=True)
        self.versions = versions
        self._audiences = audiences
        self._before = before
        self.start()

    def run(self) -> None:
        for parent, version in self.versions.items():
            # The one in force may be gone, or of other definitions: then everybody is looked at.
            with suppress(WarehouseError):
                before = self._audiences.version(parent, self._before[parent])
                self._audiences.moves.find_out(
                    parent, before, self._audiences.version(parent, version)
                )
