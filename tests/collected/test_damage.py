"""A torn end is cut off; anything else that is broken is told with its place, not passed over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.collected.errors import LogDamaged
from connectors.collected.limits import Sizes
from connectors.collected.segments import HEAD_SIZE
from tests.collected.logs import collect, collecting, event, folder_of, read, segments

pytestmark = pytest.mark.usefixtures("no_disk")

COUNT = 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose log has some commits in one segment."""
    root = tmp_path_factory.mktemp("whole")
    collect(root, range(COUNT))
    return root


def copied(whole: Path, to: Path, *, has_mark: bool) -> Path:
    """A copy, of which it may not be known how far it was durable, as after a power cut."""
    shutil.rmtree(to / ".usher", ignore_errors=True)
    shutil.copytree(whole / ".usher", to / ".usher")
    if not has_mark:
        (folder_of(to) / "durable").unlink()
    (segment,) = segments(to)
    return segment


def frame_ends(whole: Path, folder: Path) -> list[int]:
    """Where each commit ends in the file."""
    ends = [HEAD_SIZE]
    (segment,) = segments(whole)
    for place in range(HEAD_SIZE, segment.stat().st_size + 1):
        one = copied(whole, folder, has_mark=False)
        with one.open("r+b") as file:
            file.truncate(place)
        if len(read(folder)) == len(ends):
            ends.append(place)
    return ends


def test_it_may_be_torn_at_any_byte(whole: Path, tmp_path: Path) -> None:
    """What is whole before stays, and what comes then follows it."""
    (original,) = segments(whole)
    kept: list[int] = []
    for size in range(original.stat().st_size + 1):
        segment = copied(whole, tmp_path, has_mark=False)
        with segment.open("r+b") as file:
            file.truncate(size)
        collect(tmp_path, [100, 101])
        found = read(tmp_path)
        kept.append(len(found) - 2)
        assert found == [*range(kept[-1]), 100, 101]
    assert kept == sorted(kept)
    assert set(kept) == set(range(COUNT + 1))


def test_it_may_end_in_garbage(whole: Path, tmp_path: Path) -> None:
    for garbage in (bytes(4_096), b"\xff\xfeUF" * 50, b"{}\n" * 1_000):
        segment = copied(whole, tmp_path, has_mark=True)
        with segment.open("ab") as file:
            file.write(garbage)
        collect(tmp_path, [100])
        assert read(tmp_path) == [*range(COUNT), 100]


def test_what_was_acknowledged_may_not_be_torn(whole: Path, tmp_path: Path) -> None:
    (original,) = segments(whole)
    for size in range(0, original.stat().st_size, 7):
        segment = copied(whole, tmp_path, has_mark=True)
        with segment.open("r+b") as file:
            file.truncate(size)
        with pytest.raises(LogDamaged, match="damaged at byte"):
            collect(tmp_path, [100])
        with pytest.raises(LogDamaged, match="start the job with --rebuild"):
            read(tmp_path)


@pytest.mark.parametrize("has_mark", [True, False])
def test_a_flipped_bit_anywhere_is_noticed(whole: Path, tmp_path: Path, has_mark: bool) -> None:
    content = segments(whole)[0].read_bytes()
    last = frame_ends(whole, tmp_path)[-2]
    for place in range(len(content)):
        segment = copied(whole, tmp_path, has_mark=has_mark)
        harmed = bytearray(content)
        harmed[place] ^= 1 << place % 8
        segment.write_bytes(harmed)
        if place < last or has_mark:
            with pytest.raises(LogDamaged):
                read(tmp_path)
        else:  # nothing tells it from a commit that power has cut off
            assert read(tmp_path) == list(range(COUNT - 1))


def test_damage_is_told_to_who_reads_while_it_is_written(tmp_path: Path) -> None:
    with collecting(tmp_path) as log:
        for number in range(3):
            log.append([event(number)]).result()
        (segment,) = segments(tmp_path)
        with segment.open("r+b") as file:
            file.seek(HEAD_SIZE + 60)
            file.write(b"!")
        with pytest.raises(LogDamaged, match=f"{segment.name} is damaged at byte {HEAD_SIZE}"):
            read(tmp_path)


def test_a_missing_segment_is_noticed(tmp_path: Path) -> None:
    collect(tmp_path, range(20), sizes=Sizes(segment=400))
    found = segments(tmp_path)
    for victim in (found[2], found[-1]):
        content = victim.read_bytes()
        victim.unlink()
        with pytest.raises(LogDamaged):
            collect(tmp_path, [100])
        victim.write_bytes(content)
    (folder_of(tmp_path) / "log.json").unlink()
    with pytest.raises(LogDamaged, match=r"log\.json is missing"):
        collect(tmp_path, [100])


def test_another_logs_segment_is_noticed(whole: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    collect(other, range(COUNT))
    segment = copied(whole, tmp_path, has_mark=True)
    segment.write_bytes(segments(other)[0].read_bytes())
    with pytest.raises(LogDamaged, match="belongs to another log"):
        collect(tmp_path, [100])


def test_what_a_crash_leaves_of_a_new_segment_is_forgotten(tmp_path: Path) -> None:
    collect(tmp_path, range(3))
    (segment,) = segments(tmp_path)
    for size in (0, 1, HEAD_SIZE - 1, HEAD_SIZE):
        begun = segment.with_name(f"{segment.stat().st_size:020d}.events")
        begun.write_bytes(bytes(size))
        assert read(tmp_path) == list(range(3))
        assert segments(tmp_path) == [segment]


@given(
    commits=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    segment=st.integers(200, 2_000),
    cut=st.floats(0, 1),
    lost=st.binary(max_size=300),
)
@settings(max_examples=60, deadline=None)
def test_any_log_goes_on_after_any_tear(
    tmp_path_factory: pytest.TempPathFactory,
    commits: list[int],
    segment: int,
    cut: float,
    lost: bytes,
) -> None:
    root = tmp_path_factory.mktemp("any")
    number = 0
    with collecting(root, sizes=Sizes(segment=segment)) as log:
        for size in commits:
            log.append([event(number + i, "u") for i in range(size)]).result()
            number += size
    (folder_of(root) / "durable").unlink()
    last = segments(root)[-1]
    with last.open("r+b") as file:
        kept = int(last.stat().st_size * cut)
        file.truncate(kept)
        if kept >= HEAD_SIZE:  # before that is durable, nothing is written behind it
            file.seek(0, 2)
            file.write(lost)
    collect(root, [1_000])
    found = read(root)
    assert found == [*range(len(found) - 1), 1_000]
    assert len(found) - 1 in {sum(commits[:count]) for count in range(len(commits) + 1)}
