"""Several readers share a log; each goes on where somebody stopped, and nothing is read twice."""

from __future__ import annotations

import random
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from connectors.collected.history import CollectedHistory
from connectors.collected.limits import Retention, Sizes
from connectors.sources.errors import SourceError
from connectors.sources.history import ALL_KNOWN
from connectors.sources.source import Portion
from dataflows.shares import Share
from project.collecting import open_log
from project.folder import load_project
from tests.cli.projects import changed, write_project
from tests.collected.logs import (
    collect,
    collecting,
    drained,
    event,
    folder_of,
    following,
    letter,
    numbers_of,
    opened,
    read,
    read_position,
    segments,
)

USERS = 40


def share(number: int, count: int) -> Portion:
    return Portion(Share(number, count).has)


@pytest.mark.parametrize("seed", range(4))
def test_shares_that_come_and_go_read_everything_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    found: list[int] = []
    number = 0
    positions: list[bytes] = []
    with collecting(tmp_path, sizes=Sizes(segment=5_000)) as log:
        for _ in range(8):
            count = chance.choice((1, 2, 3))
            shares = [opened(tmp_path, positions, share(n, count)) for n in range(count)]
            for _ in range(5):
                for _ in range(chance.randint(1, 40)):
                    user = f"u{chance.randrange(USERS)}"
                    log.append([event(number, user)]).result()
                    number += 1
                for one in chance.sample(shares, chance.randint(0, count)):
                    for chunk in one.poll(chance.choice((1, 300, 100_000))):
                        lines = range(len(chunk.lines.starts))
                        found += [int(chunk.line(i).split(b'"m')[-1][:-2]) for i in lines]
            positions = [one.position() for one in shares]
            for one in shares:
                one.close()
    with following(tmp_path, positions) as last:
        found += numbers_of(drained(last))
    assert sorted(found) == list(range(number))


def test_a_users_events_are_in_one_partition_by_the_surest_identity(tmp_path: Path) -> None:
    known = {"anonymousId": "a1", "userId": "u1"}
    with collecting(tmp_path) as log:
        for number in range(20):
            log.append([{**event(number), **known, "anonymousId": f"a{number}"}]).result()
            log.append([{"messageId": f"m{100 + number}", "anonymousId": "a2"}]).result()
        log.append([{"messageId": "m200"}, {"messageId": "m201", "userId": 5}]).result()
        log.append([{"messageId": "m202", "userId": "5"}]).result()
    found = []
    for number in range(8):
        with following(tmp_path, portion=share(number, 8)) as one:
            found.append(numbers_of(drained(one)))
    assert sum(map(len, found)) == 43
    for together in (set(range(20)), set(range(100, 120)), {201, 202}):
        assert sum(bool(together & set(one)) for one in found) == 1


def test_letters_are_told_by_one_share_alone(tmp_path: Path) -> None:
    with collecting(tmp_path) as log:
        log.append([event(0)], [letter(1)]).result()
    letters: list[Any] = []
    for number in range(3):
        with following(tmp_path, portion=share(number, 3)) as one:
            while not one.caught_up:
                letters += [letter for chunk in one.poll(100) for letter in chunk.dead_letters]
    assert len(letters) == 1


def test_the_past_comes_first_and_waits_for_all(tmp_path: Path) -> None:
    now = [100]
    with collecting(tmp_path, clock=lambda: now[0]) as log:
        log.append([event(0)]).result()
        now[0] = 200
        log.append([event(1)]).result()
        may = [False]
        portion = Portion(goes_on=lambda: may[0])
        with following(tmp_path, portion=portion, started=150) as source:
            found: list[int] = []
            for _ in range(5):
                for chunk in source.poll(1_000):
                    assert chunk.arrivals is not None
                    found += chunk.arrivals.tolist()
            assert found == [100]
            assert not source.caught_up
            assert source.reached == 150
            may[0] = True
            assert numbers_of(drained(source)) == [1]


def test_a_log_that_was_made_anew_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    collect(tmp_path, range(3))
    position = read_position(tmp_path)
    folder_of(tmp_path).rename(tmp_path / "away")
    collect(tmp_path, range(3))
    with pytest.raises(SourceError, match="not the one that the job read; start with --rebuild"):
        read(tmp_path, positions=[position])
    with pytest.raises(SourceError, match=r"position in .* is damaged"):
        read(tmp_path, positions=[b"{}"])


class Keeper:
    """A job that reads a log and keeps positions, as often as it is told to."""

    def __init__(self, root: Path) -> None:
        self.source = opened(root)

    def store(self) -> bytes:
        drained(self.source)
        return self.source.position()


def tidy(log: object) -> None:
    """What the writer does now and then; it is not waited for here."""
    log._tidy()  # type: ignore[attr-defined]


@pytest.mark.parametrize("retention", [Retention(age=1), Retention(size=1)], ids=["age", "size"])
def test_nothing_goes_that_has_not_been_read_and_stored(
    tmp_path: Path, retention: Retention
) -> None:
    now = [1_000]
    with collecting(
        tmp_path, retention=retention, sizes=Sizes(segment=100), clock=lambda: now[0]
    ) as log:
        for number in range(10):
            log.append([event(number)]).result()
            now[0] += 100
        tidy(log)
        every = len(segments(tmp_path))
        assert every >= 10
        keeper = Keeper(tmp_path)
        with closing(keeper.source):
            position = keeper.store()  # it may not be on disk yet
            keeper.store()
            tidy(log)
            assert len(segments(tmp_path)) == every
            keeper.store()
            tidy(log)
            assert len(segments(tmp_path)) <= 2
        log.append([event(99)]).result()
        assert read(tmp_path, positions=[position]) == [99]
        # A job that begins anew reads what is left, which stays until it has.
        rebuilt = Keeper(tmp_path)
        with closing(rebuilt.source):
            for number in range(100, 105):
                log.append([event(number)]).result()
                now[0] += 100
            tidy(log)
            found = numbers_of(drained(rebuilt.source))
    assert found[-6:] == [99, *range(100, 105)]


def test_what_is_young_and_small_enough_stays(tmp_path: Path) -> None:
    now = [1_000]
    retention = Retention(age=500, size=10_000)
    with collecting(
        tmp_path, retention=retention, sizes=Sizes(segment=300), clock=lambda: now[0]
    ) as log:
        for number in range(20):
            log.append([event(number)]).result()
            now[0] += 100
        keeper = Keeper(tmp_path)
        with closing(keeper.source):
            keeper.store()
            keeper.store()
            keeper.store()
            tidy(log)
            left = read(tmp_path)
            assert 5 <= len(left) <= 8
            assert left == list(range(20 - len(left), 20))


def test_of_an_idle_log_goes_what_is_too_old(tmp_path: Path) -> None:
    now = [1_000]
    with collecting(tmp_path, retention=Retention(age=50), clock=lambda: now[0]) as log:
        log.append([event(0)]).result()
        keeper = Keeper(tmp_path)
        with closing(keeper.source):
            keeper.store()
            keeper.store()
            keeper.store()
            now[0] += 1_000
            tidy(log)
            keeper.store()
            keeper.store()
            keeper.store()
            tidy(log)
            assert read(tmp_path) == []
            log.append([event(1)]).result()
            assert numbers_of(drained(keeper.source)) == [1]
    collect(tmp_path, [2])
    assert read(tmp_path) == [1, 2]


def test_who_comes_too_late_is_told(tmp_path: Path) -> None:
    collect(tmp_path, range(20), sizes=Sizes(segment=300))
    with following(tmp_path) as source:
        source.poll(1)
        position = source.position()
    for one in segments(tmp_path)[:5]:
        one.unlink()
    with pytest.raises(SourceError, match=r"bytes are missing in .*web: the job stopped reading"):
        read(tmp_path, positions=[position])
    assert read(tmp_path)[-1] == 19  # from what is left, if it begins anew


def test_a_log_of_which_nothing_is_left_goes_on(tmp_path: Path) -> None:
    collect(tmp_path, range(5))
    position = read_position(tmp_path)
    for one in segments(tmp_path):
        one.unlink()
    collect(tmp_path, [5])
    assert read(tmp_path, positions=[position]) == [5]


def recalled(root: Path, positions: list[bytes], since: int) -> tuple[list[int], int, str]:
    history = CollectedHistory(folder_of(root), "web", positions, since)
    found: list[int] = []
    with closing(history):
        while not history.ended:
            chunk = history.poll()
            if chunk is not None:
                found += [
                    int(chunk.line(i).split(b'"m')[-1][:-2]) for i in range(len(chunk.lines.starts))
                ]
        assert history.done == history.size
    return found, history.known_since, history.lack


def test_its_history_is_what_was_read_before(tmp_path: Path) -> None:
    now = [1_000]
    with collecting(tmp_path, sizes=Sizes(segment=400), clock=lambda: now[0]) as log:
        for number in range(10):
            log.append([event(number)]).result()
            now[0] += 100
        shares = [opened(tmp_path, [], share(n, 2)) for n in range(2)]
        with closing(shares[0]), closing(shares[1]):
            drained(shares[0])
            shares[1].poll(1)
            positions = [one.position() for one in shares]
        log.append([event(10)]).result()
    with following(tmp_path, positions) as rest:
        unread = numbers_of(drained(rest))
    found, known_since, lack = recalled(tmp_path, positions, 0)
    assert sorted(found + unread) == list(range(11))
    assert (known_since, lack) == (ALL_KNOWN, "")
    late, _, _ = recalled(tmp_path, positions, 1_500)
    assert late == [one for one in found if one >= 5]
    assert recalled(tmp_path, [], 0) == ([], ALL_KNOWN, "")
    with suppress(FileNotFoundError):
        segments(tmp_path)[0].unlink()
    found, known_since, lack = recalled(tmp_path, positions, 0)
    assert found
    assert known_since >= 1_000
    assert lack == "what came earlier is not kept any longer"


def test_a_share_without_a_partition_reads_nothing_and_keeps_up(tmp_path: Path) -> None:
    with collecting(tmp_path) as log:
        log.append([event(number) for number in range(50)]).result()
        with following(tmp_path, portion=share(9, 10)) as idle:
            assert drained(idle) == []
            log.append([event(50)]).result()
            assert drained(idle) == []
            assert idle.caught_up


def test_retention_is_what_the_definition_says(tmp_path: Path) -> None:
    kept = {"age": "2d", "size": "3GB"}
    source = {"type": "http", "format": "segment", "write_keys": ["k"], "retention": kept}
    root = write_project(tmp_path / "project", changed(sources={"web": source}))
    loaded = load_project(root, {}).loaded
    assert loaded is not None
    options = loaded.project.sources["web"].options
    found = Retention.of(cast("dict[str, object]", options["retention"]))
    assert found == Retention(age=2 * 86_400_000_000, size=3_000_000_000)
    assert Retention.of({}) == Retention(age=7 * 86_400_000_000)
    with closing(open_log(loaded, loaded.project.sources["web"])) as log:
        log.append([event(1)]).result()
    assert read(root) == [1]
