"""What happens to the files of a disk, and what it may have kept of it when its power is lost.

All that had been made durable is there, and of the rest whatever the disk likes: whole writes, or
pieces.  Who watches the files differs, and so does how writes may be torn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Write:
    file: str
    place: int
    content: bytes


@dataclass(frozen=True)
class Truncation:
    file: str
    size: int


@dataclass(frozen=True)
class Sync:
    """What was done to the file before is durable."""

    file: str


@dataclass(frozen=True)
class Promise:
    """Somebody was told that so many are safe."""

    count: int


Change = Write | Truncation


def promised(happenings: Iterable[object]) -> int:
    """How many are safe, as far as anybody was told."""
    return max((one.count for one in happenings if isinstance(one, Promise)), default=0)


def change(content: bytearray, by: Iterable[Change]) -> None:
    for one in by:
        match one:
            case Write(_, place, written):
                content.extend(bytes(max(0, place - len(content))))
                content[place : place + len(written)] = written
            case Truncation(_, size):
                del content[size:]


def change_somewhat(
    content: bytearray,
    by: Iterable[Change],
    chance: random.Random,
    torn: Callable[[Change, random.Random], Change],
) -> None:
    """Change what a disk likes to change: all, nothing, or some of it, and that whole or `torn`."""
    kept = chance.choice((0.0, 0.5, 0.9, 1.0))
    for one in by:
        if chance.random() < kept:
            change(content, [torn(one, chance)])
