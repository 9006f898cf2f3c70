"""Versions of a parent model's snapshot on disk: written aside, published at once, kept a while.

    <store>/<parent model>/current              the name of the version in force
                          /20260301T…/          a version: complete, and never changed again
                          /.pulling-20260301T…/ what a pull is writing, or a crashed one has left

A version appears by renaming its finished folder, and takes force by renaming the pointer: a
reader sees the old one or the new one, never a part.  One pull at a time holds the lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from warehouse.errors import WarehouseError

# The one in force, and those that a job which restarts from older state may still name.
_KEPT = 3

_ASIDE = ".pulling-"
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

    def current(self) -> Path | None:
        """The folder of the version in force, if any has been published."""
        try:
            return self.folder / self._pointer.read_text().strip()
        except FileNotFoundError:
            return None

    def stamp(self) -> object:
        """Differs from what it was whenever another version has taken force; cheap to ask."""
        try:
            found = self._pointer.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    @contextmanager
    def writing(self, at: int) -> Iterator[tuple[str, Path]]:
        """A version's name and the folder to write it in; it vanishes unless published within.

        Raises:
            WarehouseError: another pull of the same parent model is under way.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise WarehouseError(
                    f"another pull of {self._parent_model} is under way; wait until it has ended"
                ) from error
            self._remove_leftovers()
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
            _sync(file)
        _sync(aside)
        published = self.folder / version
        aside.rename(published)
        _sync(self.folder)
        pointer = self._pointer.with_suffix(".new")
        pointer.write_text(f"{version}\n")
        _sync(pointer)
        pointer.rename(self._pointer)
        _sync(self.folder)
        self._prune(version)
        return published

    def _names(self) -> list[str]:
        return sorted(
            entry.name
            for entry in self.folder.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )

    def _new_name(self, at: int) -> str:
        """Names sort by instant; pulls of one instant are told apart by a number."""
        moment = _EPOCH + timedelta(microseconds=at)
        name = f"{moment:%Y%m%dT%H%M%S.%fZ}"
        taken = sum(one.startswith(name) for one in self._names())
        return f"{name}-{taken + 1:04d}" if taken else name

    def _remove_leftovers(self) -> None:
        for leftover in self.folder.glob(f"{_ASIDE}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _prune(self, version: str) -> None:
        older = [name for name in self._names() if name != version]
        for name in older[: -(_KEPT - 1)]:
            shutil.rmtree(self.folder / name, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
