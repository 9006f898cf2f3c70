"""What was said to be recorded survives a power cut, whatever the disk had not yet written."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from membership.facts import JournalEntry
from membership.store import MembershipStore
from tests.disk import Promise, promised
from tests.membership.disk import Disk
from tests.membership.places import SqlitePlace
from tests.membership.stories import NOW, proposals, told

BATCHES = 60
CUTS = 150


@pytest.fixture
def disk() -> Iterator[Disk]:
    with Disk() as one:
        yield one


def recorded(disk: Disk, path: Path, seed: int, **settings: str) -> list[str]:
    """Record random batches; the journal that comes of it."""
    chance = random.Random(seed)
    # Checkpoints as often as in a store that is a thousand times as large.
    store = MembershipStore(disk.database(path, wal_autocheckpoint="20", **settings))
    store.claim([("users", 0)])
    users = [f"{name}{number}" for number in range(40) for name in ("ann", "bob")]
    kinds = dict.fromkeys(users, 0)
    steps: list[str] = []
    for second in range(1, BATCHES + 1):
        some = chance.sample(users, chance.randint(1, 40))
        for user in some:
            kinds[user] += 1
        now = [f"{user}{'-+'[kinds[user] % 2]}{second}@{kinds[user]}" for user in some]
        assert len(store.record([proposals(" ".join(now))], NOW)) == len(now)
        steps += [step.replace("@", "#") for step in now]
        disk.happenings.append(Promise(len(steps)))
    store.close()
    return steps


def kept(disk: Disk, moment: int, folder: Path, chance: random.Random) -> list[str]:
    """The journal that the real store finds after a power cut; its members must be of it."""
    folder.mkdir()
    disk.lose_power(moment, folder, chance)
    place = SqlitePlace(folder / "store.db")
    try:
        place.owner()
        reader = place.reader()
        entries: list[JournalEntry] = []
        while (page := reader.transitions(len(entries))).entries:
            entries += page.entries
        heads = {one.record.user_id: one.record.type for one in entries}
        inside = {user for user, type_ in heads.items() if type_ == "entered"}
        assert {one.user_id for one in reader.members("users", "keen")} == inside
        return told(entries).split()
    finally:
        place.close()


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_was_recorded_is_lost_with_the_power(
    disk: Disk, tmp_path: Path, seed: int
) -> None:
    whole = recorded(disk, tmp_path / "store.db", seed)
    chance = random.Random(seed)
    for cut in range(CUTS):
        moment = chance.randint(0, len(disk.happenings))
        found = kept(disk, moment, tmp_path / str(cut), chance)
        assert found == whole[: len(found)]
        assert len(found) >= promised(disk.happenings[:moment])


def test_this_would_be_noticed(disk: Disk, tmp_path: Path) -> None:
    """With a setting that does not wait for the disk at every commit, something is lost."""
    recorded(disk, tmp_path / "store.db", 0, synchronous="NORMAL")
    chance = random.Random(0)
    lost = 0
    for cut in range(CUTS):
        moment = chance.randint(0, len(disk.happenings))
        found = kept(disk, moment, tmp_path / str(cut), chance)
        lost += len(found) < promised(disk.happenings[:moment])
    assert lost
