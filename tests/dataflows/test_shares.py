"""Who reads what, and that nobody forgets what others had come to."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.definitions import Settings
from connectors.sources.kafka.offsets import Mark, furthest
from dataflows.following import FollowedSource, StoredShare
from dataflows.meetings import Gate, Meeting
from dataflows.shares import Share, reading_names, sources_of
from tests.dataflows.test_following import Scripted

SOURCES = {
    key: Settings(key, type_)
    for key, type_ in (("a", "file"), ("topic", "kafka"), ("b", "file"), ("c", "file"))
}


@given(st.integers(1, 9), st.integers(0, 40))
def test_everything_is_read_by_exactly_one(count: int, number: int) -> None:
    shares = [Share(one, count) for one in range(count)]
    assert sum(share.has(number) for share in shares) == 1
    readers = [source.key for share in shares for source in sources_of(SOURCES, share)]
    assert sorted(readers) == sorted(["a", "b", "c"] + ["topic"] * count)
    assert len(set(reading_names(SOURCES, count))) == len(readers)


def test_a_share_is_given_what_all_had_come_to() -> None:
    web = Scripted([])
    stored = {
        f"{number:02d}": StoredShare(3, {"web": position})
        for number, position in enumerate((b"x", b"y", b"z"))
    }
    one = FollowedSource(
        Share(1, 2), {"web": web.open}, stored, Meeting(["01"]), threading.Event(), print
    )
    one.build_part("events", "01", b"what Bytewax gives back")
    assert web.opened_at == [[b"x", b"y", b"z"]]


def test_shares_that_are_no_more_are_taken_on_by_the_first_and_forget() -> None:
    stored = {f"{number:02d}": StoredShare(3, {"web": b"p"}) for number in range(3)}
    parts = [
        FollowedSource(Share(number, 2), {}, stored, Meeting(["00"]), threading.Event(), print)
        for number in range(2)
    ]
    assert [one.list_parts() for one in parts] == [["00", "02"], ["01"]]
    left = parts[0].build_part("events", "02", stored["02"].to_bytes())
    assert StoredShare.from_bytes(left.snapshot()) == StoredShare(2, {})


def test_of_each_partition_the_furthest_mark_counts() -> None:
    found = furthest([{0: Mark(5), 1: Mark(2)}, {1: Mark(9)}, {}])
    assert {partition: mark.next for partition, mark in found.items()} == {0: 5, 1: 9}


@pytest.mark.parametrize("by_files", [True, False])
def test_those_who_meet_wait_for_each_other(tmp_path: Path, by_files: bool) -> None:
    folder = tmp_path / "begin" if by_files else None
    complete: list[str] = []
    first = Meeting(["a/0", "b/0"], folder, lambda: complete.append("first"))
    second = Meeting(["a/0", "b/0"], folder) if by_files else first
    assert not first.attend("a/0")
    assert not first.attend("a/0")
    assert second.attend("b/0")
    assert first.attend("a/0")
    assert first.attend("a/0")
    assert complete == ["first"]


@pytest.mark.parametrize("by_files", [True, False])
def test_a_gate_is_open_for_all_once_somebody_has_opened_it(tmp_path: Path, by_files: bool) -> None:
    file = tmp_path / "past" if by_files else None
    mine = Gate(file)
    theirs = Gate(file) if by_files else mine
    states = [theirs.is_open]
    mine.open()
    mine.open()
    assert [*states, theirs.is_open, mine.is_open] == [False, True, True]
