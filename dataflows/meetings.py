"""Meetings: the shares of a job wait for each other, whichever processes and machines they are on.

Whoever has come leaves a file in a folder that all can see, and looks whether the others have left
theirs.  The folder is made for one start of a job and never used again, so nobody can take those
of an earlier start for present.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path


def _unheard() -> None:
    """Nobody wants to know."""


class Meeting:
    """Those of these names wait for each other; without a folder, in this process.

    `complete` is called when all are there.
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


def _file(name: str) -> str:
    return name.replace("/", ".")
