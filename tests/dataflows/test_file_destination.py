"""The file destination appends whole lines, whatever an earlier job has left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.destinations.file import FileDestination


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "transitions.jsonl"


@pytest.fixture
def destination(path: Path) -> Iterator[FileDestination]:
    destination = FileDestination(str(path))
    yield destination
    destination.close()


def test_a_record_can_be_read_as_soon_as_it_is_written(
    destination: FileDestination, path: Path
) -> None:
    destination.write('{"a":1}\n{"a":"é"}\n'.encode(), "2026-03-01")
    assert path.read_text() == '{"a":1}\n{"a":"é"}\n'
    destination.write(b"", "2026-03-01")
    destination.write(b'{"a":2}\n', "2026-03-01")
    destination.settle()
    assert path.read_text().splitlines()[2:] == ['{"a":2}']


@pytest.mark.parametrize("size", [1, 70_000])
@pytest.mark.parametrize("before", ["", '{"old":1}\n'])
def test_a_torn_line_is_removed(
    destination: FileDestination, path: Path, before: str, size: int
) -> None:
    path.parent.mkdir()
    path.write_text(before + "x" * size)
    destination.write(b'{"new":1}\n', "2026-03-01")
    assert path.read_text() == before + '{"new":1}\n'


def test_nothing_is_removed_from_whole_lines(destination: FileDestination, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("1\n2\n")
    destination.open("2026-03-01")
    assert path.read_text() == "1\n2\n"


def test_a_file_a_day(tmp_path: Path) -> None:
    destination = FileDestination(str(tmp_path / "{date}" / "t-{date}.jsonl"))
    destination.write(b"1\n", "2026-03-01")
    destination.write(b"2\n", "2026-03-02")
    destination.write(b"3\n", "2026-03-02")
    destination.close()
    destination.close()
    found = {path.name: path.read_text() for path in tmp_path.rglob("*.jsonl")}
    assert found == {"t-2026-03-01.jsonl": "1\n", "t-2026-03-02.jsonl": "2\n3\n"}
    assert (tmp_path / "2026-03-02").is_dir()


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not an ordinary file"):
        FileDestination(str(tmp_path)).open("2026-03-01")
    with pytest.raises(OSError, match="not an ordinary file"):
        FileDestination("/dev/null").open("2026-03-01")
