"""What was acknowledged survives a power cut, whatever the disk had not yet written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from connectors.collected.errors import LogDamaged
from connectors.collected.limits import Sizes
from tests.collected.disk import Disk
from tests.collected.logs import collect, collecting, event, folder_of, read
from tests.disk import Promise, promised

COMMITS = 60
CUTS = 150


def acknowledged(root: Path, seed: int, *syncs: str) -> tuple[Disk, int]:
    """Commits of several sizes, some of which need many sectors; and how many events they had."""
    chance = random.Random(seed)
    root.mkdir()
    collect(root, [])
    disk = Disk(folder_of(root))
    count = 0
    with disk.watched(syncs), collecting(root, sizes=Sizes(segment=20_000)) as log:
        for _ in range(COMMITS):
            size = chance.choice((1, 1, 2, 20))
            more = "x" * chance.choice((0, 10, 3_000))
            log.append([event(count + i, "u", more=more) for i in range(size)]).result()
            count += size
            disk.happenings.append(Promise(count))
    return disk, count


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_was_acknowledged_is_lost_with_the_power(tmp_path: Path, seed: int) -> None:
    disk, count = acknowledged(tmp_path / "own", seed, "fsync", "fdatasync")
    assert read(tmp_path / "own") == list(range(count))
    chance = random.Random(seed)
    for cut in range(CUTS):
        moment = chance.randint(0, len(disk.happenings))
        root = tmp_path / str(cut)
        disk.lose_power(moment, folder_of(root), chance)
        found = read(root)
        assert found == list(range(len(found)))
        assert len(found) >= promised(disk.happenings[:moment])
        collect(root, [1_000])
        assert read(root) == [*found, 1_000]


def test_this_would_be_noticed(tmp_path: Path) -> None:
    """If what is written is not waited for, something is lost."""
    disk, _ = acknowledged(tmp_path / "own", 0, "fsync")
    chance = random.Random(0)
    lost = 0
    for cut in range(CUTS):
        moment = chance.randint(0, len(disk.happenings))
        root = tmp_path / str(cut)
        disk.lose_power(moment, folder_of(root), chance)
        try:
            lost += len(read(root)) < promised(disk.happenings[:moment])
        except LogDamaged:
            lost += 1
    assert lost
