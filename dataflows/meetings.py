"""How the processes of a job wait for each other, whichever machines they are on.

They leave files in a folder that all can see.  The folder is made for one start of a job and never
used again, so nobody can take those of an earlier start for present.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path


def _unheard() -> None:
    """Nobody wants to know."""


class Meeting:
    """Those of these names wait until all of them are there; without a folder, in this process.

    Whoever has come leaves a file, and looks whether the others have left theirs.  `complete` is
    called when all are there.
    """

    def __init__(
        self,
        names: Collection[str],
        folder: Path | None = None,
        complete: Callable[[], None] = _unheard,
    ) -> None:
        self._missing = set(names)
        self._folder = folder
        self._complete = complete

    def attend(self, name: str) -> bool:
        """Be there; whether all are.  To be asked again until they are."""
        if not self._missing:
            return True
        if name in self._missing:
            self._missing.remove(name)
            if self._folder is not None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                (self._folder / _file(name)).touch(mode=0o600)
        if self._folder is not None:
            self._missing = {
                one for one in self._missing if not (self._folder / _file(one)).exists()
            }
        if not self._missing:
            self._complete()
        return not self._missing


class Gate:
    """Closed until somebody opens it; without a file, in this process."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._is_open = False

    @property
    def is_open(self) -> bool:
        if not self._is_open and self._file is not None:
            self._is_open = self._file.exists()
        return self._is_open

    def open(self) -> None:
        if self._file is not None and not self._is_open:
            self._file.touch(mode=0o600)
        self._is_open = True


def _file(name: str) -> str:
    return name.replace("/", ".")
