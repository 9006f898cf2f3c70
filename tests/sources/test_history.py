"""What followed files held when they had been read up to a position."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from connectors.sources.followed import FollowedFiles
from connectors.sources.history import ALL_KNOWN, FileHistory
from connectors.wall_clock import wall_clock
from tests.sources.test_followed import append, line, users

DAY = 86_400_000_000
YESTERDAY = wall_clock() - DAY


def position_of(*paths: Path) -> bytes:
    followed = FollowedFiles(paths)
    while not followed.caught_up:
        followed.poll()
    followed.poll()
    followed.close()
    return followed.position()


def read(history: FileHistory) -> list[str]:
    chunks = []
    while not history.ended:
        chunk = history.poll()
        chunks += [] if chunk is None else [chunk]
    return users(chunks)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    append(path, line("u1") + line("u2") + line("u3")[:10])
    return path


def test_it_ends_where_reading_did(path: Path) -> None:
    position = position_of(path)
    append(path, line("u3")[10:] + line("u4"))
    append(path.with_name("new.jsonl"), line("u5"))
    history = FileHistory([path.parent], position, YESTERDAY)
    assert read(history) == ["u1", "u2"]
    assert history.known_since == ALL_KNOWN
    assert history.done == history.size > 0
    assert read(FileHistory([path], None, YESTERDAY)) == []


def test_compressed_files(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(line("u1") + line("u2")))
    assert read(FileHistory([path], position_of(path), YESTERDAY)) == ["u1", "u2"]


def test_a_file_that_was_renamed_is_found(path: Path) -> None:
    position = position_of(path)
    path.rename(path.with_name("rotated.jsonl"))
    append(path, line("u9"))
    assert read(FileHistory([path.parent], position, YESTERDAY)) == ["u1", "u2"]


def test_old_files_are_passed_over_whether_they_are_there_or_not(path: Path) -> None:
    old = path.with_name("old.jsonl")
    append(old, line("u0"))
    os.utime(old, ns=(0, 0))
    position = position_of(path.parent)
    assert read(FileHistory([path.parent], position, YESTERDAY)) == ["u1", "u2"]
    old.unlink()
    history = FileHistory([path.parent], position, YESTERDAY)
    assert read(history) == ["u1", "u2"]
    assert history.known_since == ALL_KNOWN


@pytest.mark.parametrize("harm", ["removed", "replaced", "rewritten", "cut off"])
def test_what_a_file_held_is_missing(path: Path, harm: str) -> None:
    append(path.with_name("b.jsonl"), line("u5"))
    position = position_of(path.parent)
    written = path.stat().st_mtime_ns // 1_000
    match harm:
        case "removed":
            path.unlink()
        case "replaced":
            append(path.with_name("aside"), line("u7"))
            path.with_name("aside").rename(path)
        case "rewritten":
            path.write_bytes(line("u7") * 3)
        case "cut off":
            path.write_bytes(b"")
    history = FileHistory([path.parent], position, YESTERDAY)
    assert read(history) == ["u5"]
    assert history.known_since == written
    assert history.lack == "files that it read are gone"


def test_what_was_missing_before_stays_so(path: Path) -> None:
    followed = FollowedFiles([path])
    followed.poll()
    written = path.stat().st_mtime_ns // 1_000
    path.write_bytes(line("u7") * 3)
    followed.poll()
    position = followed.position()
    history = FileHistory([path], position, YESTERDAY)
    assert read(history) == ["u7", "u7", "u7"]
    assert history.known_since >= written
    path.unlink()
    for _ in range(600):
        followed.poll()
    gone = FileHistory([path], followed.position(), YESTERDAY)
    assert (read(gone), gone.known_since >= written) == ([], True)
    again = FollowedFiles([path], position)
    for _ in range(600):
        again.poll()
    assert FileHistory([path], again.position(), YESTERDAY).known_since >= written
