"""Versions of a parent model's snapshot on disk: written aside, published at once, kept a while.

    <store>/<parent model>/current              the name of the version in force
                          /20260301T…/          a version: complete, and never changed again
                          /.pulling-20260301T…/ what a pull is writing, or a crashed one has left
                          /in-use               the versions that a job has let take force of late

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

# The one in force, and some before it.
_KEPT = 3

# Versions that a job keeps: those that it may name when it resumes from older state.
_IN_USE = 4

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
        self._used = self.folder / "in-use"

    def current(self) -> Path | None:
        """The folder of the version in force, if any has been published."""
        try:
            return self.folder / self._pointer.read_text().strip()
        except FileNotFoundError:
            return None

    def all(self) -> list[Path]:
        """The folders of all versions, by their names."""
        return [self.folder / name for name in self._names()] if self.folder.is_dir() else []

    def current_version(self) -> str | None:
        """The name of the version in force, if any has been published."""
        folder = self.current()
        return None if folder is None else folder.name

    def use(self, version: str) -> None:
        """Keep a version, whatever is pulled, until some later ones have been used.

        To be called by the job, before it lets the version take force.
        """
        used = [*(one for one in self._in_use() if one != version), version]
        self._replace(self._used, "".join(f"{one}\n" for one in used[-_IN_USE:]))

    def _in_use(self) -> list[str]:
        try:
            return self._used.read_text().split()
        except FileNotFoundError:
            return []

    def _replace(self, file: Path, text: str) -> None:
        aside = file.with_suffix(".new")
        aside.write_text(text)
        _sync(aside)
        aside.rename(file)
        _sync(self.folder)

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
        self._replace(self._pointer, f"{version}\n")
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
        used = self._in_use()
        older = [name for name in self._names() if name != version]
        for name in older[: -(_KEPT - 1)]:
            if name in used:
                continue
            shutil.rmtree(self.folder / name, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
