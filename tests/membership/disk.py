"""A disk that remembers what was written and what was made durable, and can lose its power.

SQLite asks a virtual file system for all that it does with files.  This one passes everything on
and keeps it in a list, from which follows what a disk may hold after a power cut.

Python's own module for SQLite cannot be given a file system, so what is written here is written by
the SQLite of another one, with the store's statements and settings.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, Self

import apsw

from membership import sqlite
from membership.sqlite import SqliteDatabase
from tests.disk import Change, Promise, Sync, Truncation, Write, change, change_somewhat

_NAME = "remembering"


@dataclass(frozen=True)
class Removal:
    file: str
    durable: bool


Happening = Write | Truncation | Removal | Sync | Promise


@dataclass
class Disk:
    """To be used as a context: the file system has one name."""

    happenings: list[Happening] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._system = _FileSystem(self.happenings)
        return self

    def __exit__(self, *_: object) -> None:
        self._system.unregister()

    def database(self, path: Path, **settings: str) -> SqliteDatabase:
        """The store's database on this disk, with some settings other than the store's."""
        return _Database(path, settings)

    def lose_power(self, moment: int, folder: Path, chance: random.Random) -> None:
        """Write what may be left of the files if power is lost after so many happenings."""
        durable: dict[str, bytearray] = {}
        pending: dict[str, list[Change]] = {}
        removed: dict[str, bytearray] = {}  # but perhaps only in memory
        for one in self.happenings[:moment]:
            match one:
                case Sync(file):
                    if file not in durable:  # SQLite makes the folder durable with a new file
                        removed.clear()
                    change(durable.setdefault(file, bytearray()), pending.pop(file, []))
                case Removal(file, is_durable):
                    pending.pop(file, None)
                    if file in durable:
                        removed[file] = durable.pop(file)
                    if is_durable:
                        removed.clear()
                case Write(file) | Truncation(file):
                    pending.setdefault(file, []).append(one)
        for file, rest in pending.items():
            if file not in durable and chance.random() < 0.3:  # nobody has seen its name yet
                continue
            change_somewhat(durable.setdefault(file, bytearray()), rest, chance, _torn)
        for file, content in removed.items():
            if file not in durable and chance.random() < 0.5:
                durable[file] = content
        for file, content in durable.items():
            (folder / file).write_bytes(content)


def _torn(one: Change, chance: random.Random) -> Change:
    if isinstance(one, Write) and chance.random() < 0.2:
        return Write(one.file, one.place, one.content[: chance.randrange(len(one.content) + 1)])
    return one


class _FileSystem(apsw.VFS):
    def __init__(self, happenings: list[Happening]) -> None:
        self._happenings = happenings
        super().__init__(_NAME, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802  as SQLite has it
        return _File(name, flags, self._happenings)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self._happenings.append(Removal(Path(filename).name, durable=bool(syncdir)))


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], happenings: list[Happening]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path or "temporary").name
        self._happenings = happenings
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self._happenings.append(Write(self._name, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self._happenings.append(Truncation(self._name, size))

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._happenings.append(Sync(self._name))


class _Database(SqliteDatabase):
    """The store's own database, but for who opens the file."""

    def __init__(self, path: Path, settings: dict[str, str]) -> None:
        self._path = path
        self._lock = RLock()
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self._connection: Any = apsw.Connection(str(path), flags, vfs=_NAME)
        self._write_ahead()
        others = [f"PRAGMA {name} = {value}" for name, value in settings.items()]
        for setting in (*sqlite._SETTINGS, *others):
            self._connection.execute(setting)

    def execute(self, sql: str, parameters: Any = ()) -> int:
        self._connection.execute(sql, parameters)
        return int(self._connection.changes())
