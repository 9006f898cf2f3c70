"""Versions of a parent model's snapshot on disk: written aside, published at once, kept a while.

    <store>/<parent model>/current              the name of the version in force
                          /20260301T…/          a version: complete, and never changed again
                          /.pulling-20260301T…/ what a pull is writing, or a crashed one has left
                          /in-use               the versions that a job has let take force of late
                          /pinned               the versions that deliveries still look at

A version appears by renaming its finished folder, and takes force by renaming the pointer: a
reader sees the old one or the new one, never a part.  One pull at a time holds the lock; beside it
lies the history of the pulls.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from connectors.durability import make_durable
from warehouse.errors import WarehouseError

# The one in force, and some before it.
_KEPT = 3

# Versions that a job keeps: those that it may name when it resumes from older state.
_IN_USE = 4

_ASIDE = ".pulling-"

# Seconds for which a pull waits for the lock: somebody may be looking whether it is held.
_LOOKED_AT = 1.0
_PAUSE = 0.02
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def default_store(root: Path) -> Path:
    """Where a project keeps its snapshots."""
    return root / ".usher" / "snapshots"


class Versions:
    """The versions of one parent model below a store."""

    def __init__(self, store: Path, parent_model: str) -> None:
        self.folder = store / quote(parent_model, safe="").replace(".", "%2E")
        self._parent_model = parent_model
        self._pointer = self.folder / "current"
        self._used = self.folder / "in-use"
        self._pinned = self.folder / "pinned"

    def current(self) -> Path | None:
        """The folder of the version in force, if any has been published."""
        try:
            return self.folder / self._pointer.read_text().strip()
        except FileNotFoundError:
            return None

    def current_version(self) -> str | None:
        """The name of the version in force, if any has been published."""
        folder = self.current()
        return None if folder is None else folder.name

    def use(self, version: str) -> None:
        """Keep a version, whatever is pulled, until some later ones have been used.

        To be called by the job, before it lets the version take force.
        """
        used = [*(one for one in self._in_use() if one != version), version]
        write_durably(self._used, "".join(f"{one}\n" for one in used[-_IN_USE:]).encode())

    def pin(self, versions: Iterable[str]) -> None:
        """Keep these versions, whatever is pulled or used, until others are pinned instead.

        To be called by whoever delivers; there is one.
        """
        names = sorted({*versions})
        if names != _names_in(self._pinned):
            write_durably(self._pinned, "".join(f"{one}\n" for one in names).encode())

    def _in_use(self) -> list[str]:
        return _names_in(self._used)

    @property
    def is_locked(self) -> bool:
        """Whether a pull is under way."""
        try:
            with (self.folder / "lock").open() as lock:
                return not _taken(lock, fcntl.LOCK_SH)
        except FileNotFoundError:
            return False

    def stamp(self) -> object:
        """Differs from what it was whenever another version has taken force; cheap to ask."""
        try:
            found = self._pointer.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who changes something; what a crash has left is removed.

        Raises:
            WarehouseError: another pull of the same parent model is under way.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            deadline = time.monotonic() + _LOOKED_AT
            while not _taken(lock, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise WarehouseError(
                        f"another pull of {self._parent_model} is under way; wait until it has "
                        "ended"
                    )
                time.sleep(_PAUSE)
            self._remove_leftovers()
            yield

    @contextmanager
    def writing(self, at: int) -> Iterator[tuple[str, Path]]:
        """A version's name and the folder to write it in; it vanishes unless published within.

        To be called by who holds the lock.
        """
        version = self._new_name(at)
        aside = self.folder.resolve() / f"{_ASIDE}{version}"
        aside.mkdir()
        try:
            yield version, aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def publish(self, version: str, aside: Path) -> Path:
        """Bring the finished folder into force; from here on it survives a power cut."""
        for file in aside.iterdir():
            make_durable(file)
        make_durable(aside)
        published = self.folder / version
        aside.rename(published)
        make_durable(self.folder)
        self.point_to(version)
        self._prune(version)
        return published

    def point_to(self, version: str) -> None:
        """Bring a version into force that is there already."""
        write_durably(self._pointer, f"{version}\n".encode())

    def remove(self, version: str) -> None:
        """Remove a version that is not in force."""
        shutil.rmtree(self.folder / version, ignore_errors=True)

    def names(self) -> list[str]:
        """The versions that are kept, ascending by the instant of their pull."""
        if not self.folder.is_dir():
            return []
        return sorted(
            entry.name
            for entry in self.folder.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )

    def _new_name(self, at: int) -> str:
        """Names sort by instant; pulls of one instant are told apart by a number."""
        moment = _EPOCH + timedelta(microseconds=at)
        name = f"{moment:%Y%m%dT%H%M%S.%fZ}"
        taken = [one for one in self.names() if one.startswith(name)]
        if not taken:
            return name
        newest = taken[-1].removeprefix(name).removeprefix("-")
        return f"{name}-{int(newest or 1) + 1:04d}"

    def _remove_leftovers(self) -> None:
        for leftover in self.folder.glob(f"{_ASIDE}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _prune(self, version: str) -> None:
        used = {*self._in_use(), *_names_in(self._pinned)}
        older = [name for name in self.names() if name != version]
        for name in older[: -(_KEPT - 1)]:
            if name in used:
                continue
            shutil.rmtree(self.folder / name, ignore_errors=True)


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file as a whole: whoever reads it sees what was there before, or what is new."""
    written = path.with_name(f"{path.name}.new")
    written.write_bytes(content)
    make_durable(written)
    written.rename(path)
    make_durable(path.parent)


def _names_in(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except FileNotFoundError:
        return []


def _taken(lock: TextIO, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
