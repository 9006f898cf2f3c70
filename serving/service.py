"""What the server answers from: the project as it is now, its store, and what runs beside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from audience_dsl.definitions import ParentPlan
from dataflows.progress import Progress
from membership.errors import StoreError
from membership.keys import ApiKey
from membership.reader import MembershipReader
from project.folder import LoadedProject
from project.stores import open_reader
from serving.asking import Pulls
from serving.keyring import Keyring

_X = TypeVar("_X")


class Service:
    """To be closed when it is done with; its methods may be called from any thread.

    `progress` is that of the job in this process, if there is one.
    """

    def __init__(self, loaded: LoadedProject, pulls: Pulls, progress: Progress | None) -> None:
        self.loaded = loaded
        self.pulls = pulls
        self.progress = progress
        self.keyring = Keyring(self._keys)
        self._reader: MembershipReader | None = None
        self._lock = threading.Lock()

    def follow(self, loaded: LoadedProject) -> None:
        """From now on answer by these definitions."""
        self.loaded = loaded

    @property
    def plans(self) -> dict[str, ParentPlan]:
        return dict(self.loaded.project.plans)

    def read(self, ask: Callable[[MembershipReader], _X]) -> _X:
        """Ask the store; a connection that has failed is made anew the next time.

        Raises:
            StoreError: it cannot be read.
        """
        with self._lock:
            if self._reader is None:
                self._reader = open_reader(self.loaded)
            try:
                return ask(self._reader)
            except StoreError:
                self._reader.close()
                self._reader = None
                raise

    def close(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _keys(self) -> Sequence[ApiKey]:
        return self.read(MembershipReader.keys)
