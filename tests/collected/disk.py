"""A disk that remembers what was written and what was made durable, and can lose its power.

What the log asks of the operating system is passed on and kept in a list, from which follows what
a disk may hold after a power cut.  A file that is new is there for certain once its folder has been
made durable, and so is what was in it once it has been, too.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.disk import Change, Promise, Sync, Truncation, Write, change, change_somewhat

_SECTOR = 512


Happening = Write | Truncation | Sync | Promise


@dataclass
class Disk:
    """What happens in one folder, after what was in it at the beginning.

    A `Sync` without a name is that of the folder.
    """

    folder: Path
    happenings: list[Happening] = field(default_factory=list)
    before: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = {one.name: one.read_bytes() for one in self.folder.iterdir() if one.is_file()}

    @contextmanager
    def watched(self, syncs: Sequence[str] = ("fsync", "fdatasync")) -> Iterator[None]:
        """Remember what happens; only these calls make anything durable."""
        with pytest.MonkeyPatch.context() as patched:
            self._watch(patched, "pwrite", lambda file, content, place: Write(file, place, content))
            self._watch(patched, "ftruncate", Truncation)
            for name in syncs:
                self._watch(patched, name, Sync)
            yield

    def _watch(
        self, patched: pytest.MonkeyPatch, name: str, happening: Callable[..., Happening]
    ) -> None:
        real = getattr(os, name)

        def watching(descriptor: int, *arguments: Any) -> Any:
            told = [bytes(one) if isinstance(one, memoryview) else one for one in arguments]
            answer = real(descriptor, *arguments)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path == self.folder:
                self.happenings.append(Sync(""))
            elif path.parent == self.folder:
                self.happenings.append(happening(path.name, *told))
            return answer

        patched.setattr(os, name, watching)

    def lose_power(self, moment: int, folder: Path, chance: random.Random) -> None:
        """Write what may be left in the folder if power is lost after so many happenings."""
        durable = {name: bytearray(content) for name, content in self.before.items()}
        named = set(durable)
        pending: dict[str, list[Change]] = {}
        for one in self.happenings[:moment]:
            match one:
                case Write(file) | Truncation(file):
                    pending.setdefault(file, []).append(one)
                case Sync(""):
                    named |= pending.keys() | durable.keys()
                case Sync(file):
                    content = durable.setdefault(file, bytearray())
                    change(content, pending.pop(file, []))
        for file, rest in pending.items():
            change_somewhat(durable.setdefault(file, bytearray()), rest, chance, _torn)
        folder.mkdir(parents=True)
        for file, content in durable.items():
            if file in named or chance.random() < 0.5:
                (folder / file).write_bytes(content)


def _torn(one: Change, chance: random.Random) -> Change:
    """The whole, or its beginning, or all but some sectors of which nothing was written."""
    if isinstance(one, Truncation) or len(one.content) < 2:
        return one
    drawn = chance.random()
    if drawn < 0.3:
        return Write(one.file, one.place, one.content[: chance.randrange(len(one.content))])
    if drawn < 0.6:
        content = bytearray(one.content)
        start = chance.randrange(len(content)) // _SECTOR * _SECTOR
        end = min(start + _SECTOR * chance.randint(1, 8), len(content))
        content[start:end] = bytes(end - start)
        return Write(one.file, one.place, bytes(content))
    return one
