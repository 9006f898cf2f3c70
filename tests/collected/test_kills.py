"""A collector that is killed at any moment has what it has acknowledged, each event once."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from connectors.collected.limits import Sizes
from connectors.collected.marks import DurableMark
from tests.cli.jobs import PATIENCE, eventually
from tests.collected.logs import (
    collecting,
    drained,
    event,
    folder_of,
    following,
    numbers_of,
    read,
)
from tests.faults.harm import Harm

KILLS = 25
_PROCESSES = multiprocessing.get_context("forkserver")


def collect_for_ever(root: Path, first: int, told: Path, harm: Harm) -> None:
    """Append in batches, several of which wait at once; write down what was acknowledged."""
    harm.inflict()
    chance = random.Random(first)
    written = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with collecting(root, sizes=Sizes(segment=30_000)) as log:
        number = first
        while True:
            waiting = []
            for _ in range(chance.randint(1, 10)):
                batch = range(number, number := number + chance.randint(1, 5))
                waiting.append((batch, log.append([event(one) for one in batch])))
            for batch, one in waiting:
                one.result()
                os.write(written, (json.dumps(list(batch)) + "\n").encode())


def acknowledged(told: Path) -> set[int]:
    if not told.exists():
        return set()
    return {number for line in told.read_text().splitlines() for number in json.loads(line)}


def started(root: Path, first: int, told: Path, harm: Harm) -> ForkServerProcess:
    one = _PROCESSES.Process(target=collect_for_ever, args=(root, first, told, harm), daemon=True)
    one.start()
    return one


def test_what_it_has_acknowledged_is_there_once(tmp_path: Path) -> None:
    chance = random.Random(0)
    told = tmp_path / "told"
    for life in range(KILLS):
        before = len(acknowledged(told))
        # From outside, or by itself when it was about to make something durable.
        kill_at = chance.choice((None, chance.randint(1, 60)))
        one = started(tmp_path, life * 1_000_000, told, Harm(kill_at=kill_at))
        if kill_at is None:
            eventually(lambda: len(acknowledged(told)) > before)  # noqa: B023
            time.sleep(chance.uniform(0, 0.1))
            one.kill()
        one.join(PATIENCE)
        assert one.exitcode == -signal.SIGKILL
        one.close()
    found = read(tmp_path)
    assert len(found) == len(set(found))
    assert acknowledged(told) <= set(found)
    for life in range(KILLS):  # nothing is missing before what is there
        own = [number for number in found if number // 1_000_000 == life]
        assert sorted(own) == list(range(life * 1_000_000, life * 1_000_000 + len(own)))


def test_who_reads_beside_it_goes_on(tmp_path: Path) -> None:
    chance = random.Random(1)
    told = tmp_path / "told"
    found: list[int] = []
    with following(tmp_path) as source:
        for life in range(5):
            one = started(tmp_path, life * 1_000_000, told, Harm())
            before = len(acknowledged(told))
            until = chance.randint(50, 400)
            while len(acknowledged(told)) < before + until:
                found += numbers_of(drained(source))
            one.kill()
            one.join(PATIENCE)
            one.close()
        with collecting(tmp_path):
            """It looks after the end of the log."""
        found += numbers_of(drained(source))
    assert len(found) == len(set(found))
    assert acknowledged(told) <= set(found)
    assert found == read(tmp_path)


def test_who_reads_does_not_wait_for_one_who_died_while_it_wrote(tmp_path: Path) -> None:
    with following(tmp_path) as source:
        drained(source)
        one = started(tmp_path, 0, tmp_path / "told", Harm(kill_at=20))
        one.join(PATIENCE)
        assert one.exitcode == -signal.SIGKILL
        one.close()
        mark = DurableMark(folder_of(tmp_path))
        assert mark.ask().coming > 0
        mark.close()
        found = numbers_of(drained(source))
    assert set(found) >= acknowledged(tmp_path / "told")
