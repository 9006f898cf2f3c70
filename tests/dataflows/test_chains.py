"""State files: what is written is read back up to a position, and damage is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.chains import Chain, DamagedLog, Position
from dataflows.checkpoints import Checkpoints
from dataflows.state_log import StateLog


@pytest.fixture
def log(tmp_path: Path) -> StateLog:
    return StateLog(tmp_path / "state")


def add(log: StateLog, chain: Chain, content: bytes, *, complete: bool = False) -> Position:
    log.write([(chain, content, complete)])
    assert chain.position is not None
    return chain.position


def files(log: StateLog) -> list[Path]:
    return sorted(log.folder.glob("*.log"))


def test_a_position_stays_what_it_was_whatever_is_added_later(log: StateLog) -> None:
    chain = log.chain("users.01")
    first = add(log, chain, b"everything", complete=True)
    second = add(log, chain, b"a little more")
    anew = add(log, chain, b"all of it", complete=True)
    assert log.read(first) == [b"everything"]
    assert log.read(second) == [b"everything", b"a little more"]
    assert log.read(anew) == [b"all of it"]


def test_who_goes_on_from_a_position_leaves_what_lies_behind_it_alone(log: StateLog) -> None:
    chain = log.chain("users.01")
    add(log, chain, b"everything", complete=True)
    stored = add(log, chain, b"stored")
    lost = add(log, chain, b"a crash came before this position was stored")
    successor = StateLog(log.folder)
    other = successor.chain("users.01", stored)
    mine = add(successor, other, b"mine")
    more = add(successor, other, b"more")
    theirs = add(log, chain, b"from one who should be dead")
    assert successor.read(mine) == [b"everything", b"stored", b"mine"]
    assert successor.read(more) == [b"everything", b"stored", b"mine", b"more"]
    assert log.read(theirs)[-1] == b"from one who should be dead"
    assert len(log.read(lost)) == 3


def test_files_left_behind_go_when_no_stored_epoch_can_need_them(log: StateLog) -> None:
    chain = log.chain("users.01")
    add(log, chain, b"old", complete=True)
    log.close_epoch(chain)
    assert not log.is_in_use
    (old,) = files(log)
    new = add(log, chain, b"new", complete=True)
    log.close_epoch(chain)
    log.close_epoch(chain)
    assert old in files(log)
    log.close_epoch(chain)
    assert [one.name for one in files(log)] == [new.segments[0].name]
    assert log.is_in_use


def test_files_that_nothing_stored_names_are_removed(log: StateLog) -> None:
    kept = add(log, log.chain("users.01"), b"kept", complete=True)
    add(log, log.chain("users.02"), b"not", complete=True)
    log.keep_only([kept])
    assert [one.name for one in files(log)] == [kept.segments[0].name]
    assert log.read(kept) == [b"kept"]


def test_many_chains_are_written_at_once(log: StateLog) -> None:
    chains = [log.chain(f"users.{number:02d}") for number in range(64)]
    log.write((chain, str(number).encode(), True) for number, chain in enumerate(chains))
    log.write((chain, b"+", False) for chain in chains)
    for number, chain in enumerate(chains):
        assert chain.position is not None
        assert log.read(chain.position) == [str(number).encode(), b"+"]


def test_a_file_that_somebody_else_writes_to_is_noticed(log: StateLog) -> None:
    chain = log.chain("users.01")
    add(log, chain, b"mine", complete=True)
    with files(log)[0].open("ab") as file:
        file.write(b"theirs")
    with pytest.raises(DamagedLog, match="somebody else"):
        add(log, chain, b"more")


def test_an_error_of_the_disk_names_the_file(log: StateLog) -> None:
    chain = log.chain("users.01")
    add(log, chain, b"mine", complete=True)
    files(log)[0].unlink()
    with pytest.raises(FileNotFoundError) as caught:
        add(log, chain, b"more")
    assert "users.01" in caught.value.filename


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6), st.data())
def test_any_damage_before_the_position_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], data: st.DataObject
) -> None:
    log = StateLog(tmp_path_factory.mktemp("damage"))
    chain = log.chain("users.01")
    for number, content in enumerate(contents):
        add(log, chain, content, complete=number == 0)
    position = chain.position
    assert position is not None
    assert log.read(position) == contents
    (path,) = files(log)
    written = path.read_bytes()
    place = data.draw(st.integers(0, len(written) - 1))
    flipped = written[place] ^ (1 << data.draw(st.integers(0, 7)))
    path.write_bytes(written[:place] + bytes([flipped]) + written[place + 1 :])
    with pytest.raises(DamagedLog):
        log.read(position)
    path.write_bytes(written)
    os.truncate(path, place)
    with pytest.raises(DamagedLog):
        log.read(position)


class Group:
    """A group whose state is a number of bytes."""

    def __init__(self, log: StateLog, number: int) -> None:
        self.chain = log.chain(f"users.{number:02d}")
        self.changed = True
        self.complete: list[bool] = []

    def record(self, *, complete: bool) -> bytes:
        self.changed = False
        self.complete.append(complete)
        return bytes(1 << 18)


@pytest.fixture
def groups(log: StateLog) -> tuple[Checkpoints, list[Group]]:
    checkpoints = Checkpoints(log)
    made = [Group(log, number) for number in range(16)]
    for group in made:
        checkpoints.include(group)
    return checkpoints, made


def test_groups_that_have_not_changed_write_nothing(
    log: StateLog, groups: tuple[Checkpoints, list[Group]]
) -> None:
    checkpoints, made = groups
    checkpoints.write()
    sizes = [path.stat().st_size for path in files(log)]
    made[3].changed = True
    checkpoints.write()
    grown = [
        number
        for number, (path, size) in enumerate(zip(files(log), sizes, strict=True))
        if path.stat().st_size > size
    ]
    assert grown == [3]


def test_chains_begin_anew_when_they_have_outgrown_their_state_a_few_at_a_time(
    groups: tuple[Checkpoints, list[Group]],
) -> None:
    checkpoints, made = groups
    for _ in range(16):
        for group in made:
            group.changed = True
        checkpoints.write()
    begun = [sum(epoch) for epoch in zip(*(group.complete for group in made), strict=True)]
    assert begun[0] == 16
    assert begun[1:5] == [0, 0, 0, 0]
    assert begun[5:13] == [2] * 8
