"""Logs that are written and read, and what is in them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from connectors.collected.folder import log_folder
from connectors.collected.log import CollectedLog
from connectors.collected.records import Letter
from connectors.collected.source import CollectedSource
from connectors.sources.source import EVERYTHING, Portion
from tests.cli.jobs import PATIENCE

# A block that is small enough for many polls.
LIMIT = 1 << 16


def folder_of(root: Path) -> Path:
    """The folder of the source `web` of a project."""
    return log_folder(root, "web")


def event(number: int, user: str | None = None, **more: Any) -> dict[str, Any]:
    user = f"u{number % 7}" if user is None else user
    return {"type": "page", "userId": user, "messageId": f"m{number}", **more}


def letter(number: int) -> Letter:
    return Letter("not a JSON object", f"[{number}]")


@contextmanager
def collecting(root: Path, *, folder: Path | None = None, **options: Any) -> Iterator[CollectedLog]:
    """A log to append to; that of the source `web`, if not another one."""
    with closing(CollectedLog(folder or folder_of(root), "segment", **options)) as log:
        yield log


def collect(root: Path, numbers: Iterable[int], **options: Any) -> None:
    """Let events of these numbers be acknowledged, one by one."""
    with collecting(root, **options) as log:
        for number in numbers:
            log.append([event(number)]).result()


def opened(
    root: Path,
    positions: Sequence[bytes] = (),
    portion: Portion = EVERYTHING,
    *,
    started: int = 0,
) -> CollectedSource:
    """The log as a job reads it on; what arrived before it `started` is its past."""
    return CollectedSource(folder_of(root), "web", started).follow(positions, portion)


@contextmanager
def following(root: Path, positions: Sequence[bytes] = (), **how: Any) -> Iterator[CollectedSource]:
    """The same, for a while."""
    with closing(opened(root, positions, **how)) as source:
        yield source


def read(root: Path, positions: Sequence[bytes] = (), **how: Any) -> list[int]:
    """The numbers of all events that a job finds."""
    with following(root, positions, **how) as source:
        return numbers_of(drained(source))


def read_position(root: Path) -> bytes:
    """What a job keeps that has read everything."""
    with following(root) as source:
        drained(source)
        return source.position()


def drained(source: CollectedSource, limit: int = LIMIT) -> list[dict[str, Any]]:
    """All that there is at the moment, in the order in which it is delivered."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline
        for chunk in source.poll(limit):
            assert chunk.arrivals is not None
            assert len(chunk.lines.starts) == len(chunk.arrivals)
            found += [msgspec.json.decode(chunk.line(i)) for i in range(len(chunk.lines.starts))]
        if source.caught_up:
            return found


def numbers_of(events: Iterable[Mapping[str, Any]]) -> list[int]:
    return [int(one["messageId"][1:]) for one in events]


def segments(root: Path) -> list[Path]:
    return sorted(folder_of(root).glob("*.events"))
