"""Full disks, lost power, damaged stores, stepping clocks: real jobs, and what becomes of them."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from connectors.wall_clock import wall_clock
from tests.faults.harm import Harm
from tests.faults.journal import journal
from tests.faults.processes import process
from tests.faults.story import HOUR, Story
from tests.faults.verdict import (
    assert_same,
    assert_true_in_the_end,
    await_stored,
    begin,
    kept_members,
)

DAMAGES = int(os.environ.get("USHER_FAULT_DAMAGES", "15"))
WEEK = 7 * 24 * HOUR


def began(root: Path, seed: int) -> Story:
    """A story whose job has stored something."""
    story = Story(root / "project", seed)
    begin(story)
    return story


@pytest.mark.parametrize("seed", range(2))
def test_what_was_not_made_durable_may_be_lost(tmp_path: Path, seed: int) -> None:
    story = began(tmp_path, seed)
    for number in range(3):
        ledger = tmp_path / f"ledger-{number}"
        with process(story.root, harm=Harm(ledger=ledger)) as one:
            one.await_begin()
            story.go_on(story.random.uniform(1.0, 2.5))
            one.kill()
        lose_power(story.root / ".usher" / "state", ledger, story.random)
    assert_true_in_the_end(story)


def lose_power(folder: Path, ledger: Path, chance: random.Random) -> None:
    """Of files written since the start, keep what was made durable, and some of the rest.

    The name of a file is durable once its folder is; but these are all made so together.
    """
    durable: dict[str, int] = {}
    names: set[str] = set()
    for line in ledger.read_text().splitlines() if ledger.exists() else []:
        size, _, path = line.partition(" ")
        durable[path] = int(size)
        if path == str(folder):
            names = set(durable)
    for file in folder.glob("*.log"):
        least = durable.get(str(file))
        if least is None:
            continue
        if str(file) not in names and chance.random() < 0.5:
            file.unlink()
        else:
            os.truncate(file, chance.randint(least, max(least, file.stat().st_size)))


def test_a_full_disk_ends_the_job_with_a_sentence_and_nothing_is_lost(tmp_path: Path) -> None:
    story = began(tmp_path, 7)
    # What grows beyond it first is the database, the state or the destination.
    for limit in (1 << 12, 1 << 15, 60_000, 1 << 17, 1 << 18, 1 << 19):
        with process(story.root, harm=Harm(file_limit=limit)) as one:
            one.await_begin()
            story.go_on(2.0)
            code = one.end() if not one.runs else one.stop()
            assert code in {0, 3}, one.said()
            assert "Traceback" not in one.said()
            assert "panicked" not in one.said()
            if code == 3:
                assert one.said().splitlines()[-1].startswith("usher: "), one.said()
    assert_true_in_the_end(story)


@pytest.mark.slow
def test_damage_is_noticed_or_harmless(tmp_path: Path) -> None:
    story = began(tmp_path, 8)
    with process(story.root) as one:
        one.await_begin()
        story.go_on(2.0)
        one.kill()
    expected = story.members()
    chance = random.Random(8)
    noticed = 0
    for number in range(DAMAGES):
        copy = tmp_path / f"copy-{number}" / "project"
        shutil.copytree(story.root, copy, ignore=shutil.ignore_patterns("*.sock"))
        for path in (copy / "live").iterdir():  # a copy is another file, which would be read anew
            path.unlink()
            os.link(story.root / "live" / path.name, path)
        what = damage(copy / ".usher", chance)
        with process(copy, harm=Harm(clock=HOUR)) as one:
            await_stored(one, copy, wall_clock() + HOUR)
            code = one.stop()
        if code == 0:
            assert_same(kept_members(copy), expected)
        else:
            assert code == 3, (what, one.said())
            assert "start with --rebuild" in one.said(), (what, one.said())
            assert "Traceback" not in one.said(), what
            noticed += 1
    assert noticed


def damage(folder: Path, chance: random.Random) -> str:
    """Flip a bit of a file, or cut its end off, or remove it; say what was done."""
    files = [*(folder / "recovery").iterdir(), *(folder / "state").glob("*.log")]
    path = chance.choice(sorted(one for one in files if one.stat().st_size))
    if chance.random() < 0.5:  # most files have state
        path = chance.choice(sorted(one for one in files if one.parent.name == "recovery"))
    size = path.stat().st_size
    match chance.randrange(3):
        case 0:
            place = chance.randrange(size)
            content = bytearray(path.read_bytes())
            content[place] ^= 1 << chance.randrange(8)
            path.write_bytes(content)
            return f"{path.name}: a bit of byte {place} of {size}"
        case 1:
            length = chance.randrange(size)
            os.truncate(path, length)
            return f"{path.name}: {length} of {size} bytes left"
        case _:
            path.unlink()
            return f"{path.name}: removed"


def test_a_week_later_what_fell_due_meanwhile_happens_at_its_own_instant(tmp_path: Path) -> None:
    story = began(tmp_path, 9)
    before = len(journal(story.root))
    with process(story.root, harm=Harm(clock=WEEK)) as one:
        await_stored(one, story.root, wall_clock() + WEEK)
        assert one.stop() == 0, one.said()
    after = journal(story.root)[before:]
    ageings = story.ageings()
    # Windows of a second have run out already where the machine was slow.
    assert {each["audience"] for each in after} >= {"twice", "few", "both"}
    for each in after:
        assert each["cause"]["kind"] == "window_expired"
        assert (each["user_id"], each["effective_at"]) in ageings, each


def test_a_clock_that_was_set_back_makes_nobody_leave_early_or_come_twice(tmp_path: Path) -> None:
    story = began(tmp_path, 10)
    for clock in (-HOUR, HOUR // 60, -HOUR // 2):
        with process(story.root, harm=Harm(clock=clock)) as one:
            one.await_begin()
            story.go_on(0.5)
            assert one.stop() == 0, one.said()
    expected = story.members()
    with process(story.root, harm=Harm(clock=HOUR)) as one:
        await_stored(one, story.root, wall_clock() + HOUR)
        assert one.stop() == 0, one.said()
    assert_same(kept_members(story.root), expected)


def test_a_second_job_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    story = began(tmp_path, 11)
    with process(story.root) as one:
        one.await_begin()
        for arguments in ((), ("--rebuild",)):
            with process(story.root, *arguments) as two:
                assert two.end() == 3
                assert "another job runs on this project" in two.said()
            story.go_on(0.3)
        assert one.stop() == 0, one.said()
    assert_true_in_the_end(story)
