"""What is acknowledged is in the log, once, in its order; what is refused is not, with a reason."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.collected.errors import LogDamaged, LogInUse, NotTaken, Overfull
from connectors.collected.limits import Capacity, Sizes
from connectors.collected.recording import read_segment
from connectors.collected.records import Records
from connectors.wall_clock import wall_clock
from tests.cli.jobs import eventually
from tests.collected.logs import (
    collect,
    collecting,
    drained,
    event,
    following,
    letter,
    numbers_of,
    read,
    segments,
)

SMALL = Sizes(segment=500)


def test_what_is_acknowledged_is_read_in_its_order(tmp_path: Path) -> None:
    collect(tmp_path, range(20))
    collect(tmp_path, range(20, 30))
    assert read(tmp_path) == list(range(30))


def test_many_at_once_share_a_commit_and_each_user_keeps_its_order(tmp_path: Path) -> None:
    async def many(root: Path) -> None:
        with collecting(root) as log:
            records = [log.records_of([event(number)]) for number in range(2_000)]
            await asyncio.gather(*map(log.keep, records))

    asyncio.run(many(tmp_path))
    found = read(tmp_path)
    assert sorted(found) == list(range(2_000))
    for user in range(7):
        own = [number for number in found if number % 7 == user]
        assert own == sorted(own)


def test_threads_may_append_side_by_side(tmp_path: Path) -> None:
    with collecting(tmp_path) as log:

        def some(first: int) -> None:
            for number in range(first, first + 50):
                log.append([event(number)]).result()

        threads = [threading.Thread(target=some, args=(first,)) for first in (0, 100, 200)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    found = read(tmp_path)
    assert sorted(found) == [*range(50), *range(100, 150), *range(200, 250)]
    assert [one for one in found if one < 50] == list(range(50))


def test_a_request_is_one_piece_and_may_be_empty(tmp_path: Path) -> None:
    with collecting(tmp_path) as log:
        log.append([]).result()
        log.append([event(number, "u") for number in range(3)], [letter(1)]).result()
        asyncio.run(log.keep(Records()))
    assert read(tmp_path) == [0, 1, 2]


def test_what_could_not_be_read_comes_out_as_dead_letters_with_places(tmp_path: Path) -> None:
    with collecting(tmp_path) as log:
        log.append([event(0)], [letter(1), letter(2)]).result()
        log.append([], [letter(3)]).result()
    letters: list[Any] = []
    received = 0
    with following(tmp_path) as source:
        while not source.caught_up:
            for chunk in source.poll(1):
                letters += chunk.dead_letters
                received += chunk.count
    assert [(one.file, one.line, one.reason, one.excerpt) for one in letters] == [
        ("collected/web", number, "not a JSON object", f"[{number}]") for number in (1, 2, 3)
    ]
    assert received == 4


def test_arrivals_never_fall_whatever_the_clock_does(tmp_path: Path) -> None:
    instants = iter([10, 10, 5, 5, 30, 30, 30, 20, 20, 40, 40])
    with collecting(tmp_path, clock=lambda: next(instants, 40)) as log:
        for number in range(3):
            log.append([event(number)]).result()
    with collecting(tmp_path, clock=lambda: 7) as log:
        log.append([event(3)]).result()
    arrivals: list[int] = []
    with following(tmp_path) as source:
        while not source.caught_up:
            for chunk in source.poll(1):
                assert chunk.arrivals is not None
                arrivals += chunk.arrivals.tolist()
    assert len(arrivals) == 4
    assert all(one <= other for one, other in pairwise(arrivals))
    assert arrivals[0] >= 10


def test_segments_follow_one_another(tmp_path: Path) -> None:
    collect(tmp_path, range(30), sizes=SMALL)
    assert len(segments(tmp_path)) > 5
    collect(tmp_path, range(30, 40), sizes=SMALL)
    assert read(tmp_path) == list(range(40))


def test_a_segment_has_its_time(tmp_path: Path) -> None:
    now = [1_000]
    with collecting(tmp_path, sizes=Sizes(duration=10), clock=lambda: now[0]) as log:
        for number in range(6):
            log.append([event(number)]).result()
            now[0] += 5
    assert len(segments(tmp_path)) == 3
    assert read(tmp_path) == list(range(6))


def test_there_is_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.collected.folder._PATIENCE", 0.05)
    with collecting(tmp_path) as log:
        with pytest.raises(LogInUse, match=r"another process collects into .*web; end it first"):
            collect(tmp_path, [1])
        log.append([event(0)]).result()
    collect(tmp_path, [1])
    assert read(tmp_path) == [0, 1]


@contextmanager
def stuck_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that does not finish anything until it is let go."""
    begun, go_on = threading.Event(), threading.Event()
    real = os.fdatasync

    def waiting(descriptor: int) -> None:
        begun.set()
        go_on.wait()
        real(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", waiting)
        try:
            yield begun
        finally:
            go_on.set()


def test_while_the_disk_is_slow_who_reads_is_told_since_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting(tmp_path) as log:
        log.append([event(0)]).result()
        with following(tmp_path) as source:
            assert numbers_of(drained(source)) == [0]
            before = wall_clock()
            with stuck_disk(monkeypatch) as begun:
                taken = log.append([event(1)])
                assert begun.wait(60)
                eventually(lambda: not source.poll(1) and not source.caught_up)
                reached = source.reached
                assert reached is not None
                assert before <= reached <= wall_clock()
            taken.result(60)
            (chunk,) = source.poll(1)
            assert chunk.arrivals is not None
            assert chunk.arrivals[0] >= reached
            assert source.caught_up


def test_beyond_its_capacity_it_refuses_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting(tmp_path, capacity=Capacity(events=10, size=2_000)) as log:
        with stuck_disk(monkeypatch) as begun:
            taken = [log.append([event(0)])]
            assert begun.wait(60)
            taken += [log.append([event(number)]) for number in range(1, 10)]
            with pytest.raises(Overfull) as refused:
                log.append([event(10)])
            assert refused.value.retry_after >= 1
            assert not any(one.done() for one in taken)
        for one in taken:
            one.result(60)
        with pytest.raises(Overfull):
            log.append([event(11, more="x" * 3_000)])
        log.append([event(12)]).result()
    assert sorted(read(tmp_path)) == [*range(10), 12]


def test_what_waits_when_it_is_closed_is_written(tmp_path: Path) -> None:
    with collecting(tmp_path) as log:
        taken = [log.append([event(number)]) for number in range(100)]
    assert all(one.result() is None for one in taken)
    with pytest.raises(NotTaken, match="stopping"):
        log.append([event(100)])
    assert sorted(read(tmp_path)) == list(range(100))


def test_who_has_gone_is_no_trouble(tmp_path: Path) -> None:
    async def impatient() -> None:
        one = asyncio.ensure_future(log.keep(log.records_of([event(0)])))
        await asyncio.sleep(0)
        one.cancel()

    with collecting(tmp_path) as log:
        asyncio.run(impatient())
        log.append([event(1)]).result()
    assert read(tmp_path) == [0, 1]


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file grows beyond a size, as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_a_reason_and_passes(tmp_path: Path) -> None:
    taken: list[int] = []
    refused: list[int] = []
    with collecting(tmp_path) as log:
        with file_limit(2_000):
            for number in range(40):
                try:
                    log.append([event(number)]).result()
                except NotTaken as error:
                    assert str(error) == "it cannot be written: File too large"  # noqa: PT017
                    refused.append(number)
                else:
                    taken.append(number)
        assert taken
        assert refused
        log.append([event(100)]).result()
    assert read(tmp_path) == [*taken, 100]


@pytest.mark.parametrize("failing", ["pwrite", "fdatasync", "fsync"])
@given(plan=st.lists(st.booleans(), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_a_disk_that_fails_now_and_then_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, failing: str, plan: list[bool]
) -> None:
    root = tmp_path_factory.mktemp("failing")
    real = getattr(os, failing)
    fails = [False]

    def harmed(descriptor: int, *arguments: object) -> object:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if fails[0] and path.suffix == ".events":
            fails[0] = False
            if failing == "pwrite":
                content, place = arguments
                real(descriptor, bytes(content)[:-5], place)  # type: ignore[call-overload]
            raise OSError(28, "No space left on device")
        return real(descriptor, *arguments)

    taken = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, failing, harmed)
        with collecting(root, sizes=Sizes(segment=400)) as log:
            for number, fail in enumerate(plan):
                fails[0] = fail
                try:
                    log.append([event(number, more="x" * 600 * fail)]).result()
                except NotTaken as error:
                    assert "No space left on device" in str(error)  # noqa: PT017
                else:
                    taken.append(number)
            fails[0] = False
            log.append([event(99)]).result()
            assert read(root) == [*taken, 99]
    collect(root, [100])
    assert read(root) == [*taken, 99, 100]


def test_who_reads_at_the_same_time_sees_all_of_it_once(tmp_path: Path) -> None:
    found: list[int] = []
    with collecting(tmp_path, sizes=Sizes(segment=3_000)) as log, following(tmp_path) as source:
        for first in range(0, 500, 10):
            taken = [log.append([event(number)]) for number in range(first, first + 10)]
            found += numbers_of(drained(source))
            for one in taken:
                one.result()
        found += numbers_of(drained(source))
    assert sorted(found) == list(range(500))


def test_a_recording_may_be_read_while_it_goes_on_in_its_next_file(tmp_path: Path) -> None:
    """What was being written when its size was looked at is whole by the time that it is read."""
    with collecting(tmp_path, sizes=Sizes(segment=400)) as log:
        for number in range(2):
            log.append([event(number)]).result()
        (first,) = segments(tmp_path)
        with first.open("rb") as file:
            size = first.stat().st_size
            while len(segments(tmp_path)) < 2:
                log.append([event(2)]).result()
            cut_off = read_segment(first, 0, file.fileno(), size - 10)
            assert sum(len(one.lines.starts) for one in cut_off) == 1
            # One that has ended and lacks something is damaged.
            os.truncate(first, size - 10)
            with pytest.raises(LogDamaged):
                list(read_segment(first, 0, file.fileno(), size - 10))


def test_what_json_cannot_say_is_no_event(tmp_path: Path) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    strange: list[object] = ["\ud800", deep]
    with collecting(tmp_path) as log:
        log.append([event(0), *(event(1, value=one) for one in strange), event(2)]).result()
    assert read(tmp_path) == [0, 2]
    with following(tmp_path, started=1 << 62) as source:
        (chunk,) = source.poll(1_000_000)
    assert {one.reason for one in chunk.dead_letters} == {"JSON has nothing like one of its values"}
    assert all("'messageId': 'm1'" in one.excerpt for one in chunk.dead_letters)
    assert chunk.count == 4


@pytest.mark.parametrize(
    "ids",
    [
        [{"userId": " u1"}, {"userId": "u1\t"}, {"userId": "u1", "anonymousId": "a"}],
        [{"userId": 7}, {"userId": "7"}],
        [{"userId": True, "anonymousId": "a"}, {"userId": " ", "anonymousId": "a"}],
    ],
)
def test_one_user_however_written_is_in_one_partition(
    tmp_path: Path, ids: list[dict[str, object]]
) -> None:
    with collecting(tmp_path) as log:
        others = log.records_of([{"userId": f"u{number}"} for number in range(100)])
        assert len({partition for partition, _ in others.lines}) > 1
        assert len({partition for partition, _ in log.records_of(ids).lines}) == 1
