"""Sources as a flow sees them: polled in turn, resumed, and ended in good order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
from bytewax.inputs import StatefulSourcePartition

from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from connectors.wall_clock import wall_clock
from dataflows.following import FollowedSource, Polled
from dataflows.meetings import Meeting
from dataflows.shares import WHOLE


class Scripted:
    """A source that does as it is told, and remembers from where it was opened."""

    def __init__(self, polls: Sequence[list[Chunk] | Exception]) -> None:
        self._polls = list(polls)
        self._done = 0
        self.opened_at: list[list[bytes]] = []
        self.caught_up = True
        self.reached: int | None = None
        self.is_closed = False

    def open(self, positions: Sequence[bytes]) -> Scripted:
        self.opened_at.append(list(positions))
        return self

    def poll(self, limit: int) -> list[Chunk]:
        self._done += 1
        answer = self._polls.pop(0) if self._polls else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    def position(self) -> bytes:
        return str(self._done).encode()

    def close(self) -> None:
        self.is_closed = True


def partition(
    sources: dict[str, Scripted],
    stop: threading.Event,
    failed: Callable[[Exception], None] = print,
    stored: bytes | None = None,
) -> StatefulSourcePartition[Polled, bytes]:
    opened = {key: one.open for key, one in sources.items()}
    source = FollowedSource(WHOLE, opened, None, Meeting(["00"]), stop, failed)
    assert source.list_parts() == ["00"]
    return source.build_part("flow.events", "00", stored)


def test_what_is_there_is_delivered_and_silence_is_reported() -> None:
    chunk = Chunk("a.jsonl", 0, 1)
    sources = {"web": Scripted([[chunk]]), "app": Scripted([])}
    one = partition(sources, threading.Event())
    first = list(one.next_batch())
    assert [(polled.source, list(polled.chunks)) for polled in first] == [
        ("web", [chunk]),
        ("app", []),
    ]
    again: list[Polled] = []
    while len(again) < 2:
        again += one.next_batch()
    assert all(not polled.chunks and polled.now > first[0].now for polled in again)


def test_what_is_received_while_a_source_is_read_has_arrived_by_then() -> None:
    class Slow(Scripted):
        def poll(self, limit: int) -> list[Chunk]:
            self.received_at = wall_clock()
            return super().poll(limit)

    web = Slow([[Chunk("a.jsonl", 0, 1)]])
    (polled,) = partition({"web": web}, threading.Event()).next_batch()
    assert polled.now <= web.received_at <= polled.read_at


def test_bytewax_never_waits_for_the_wall_clock() -> None:
    one = partition({"web": Scripted([[Chunk("a.jsonl", 0, 1)]])}, threading.Event())
    for _ in range(50):
        one.next_batch()
        awake = one.next_awake()
        assert awake is not None
        assert awake.timestamp() == 0


def test_every_source_goes_on_at_its_own_position() -> None:
    one = partition({"web": Scripted([[], []]), "app": Scripted([])}, threading.Event())
    one.next_batch()
    stored = one.snapshot()
    web, app, new = Scripted([]), Scripted([]), Scripted([])
    partition({"web": web, "app": app, "new": new}, threading.Event(), stored=stored)
    assert (web.opened_at, app.opened_at, new.opened_at) == ([[b"1"]], [[b"1"]], [[]])


def test_sources_are_closed_with_it() -> None:
    web = Scripted([])
    partition({"web": web}, threading.Event()).close()
    assert web.is_closed


def test_how_far_a_source_has_come_is_told() -> None:
    web = Scripted([])
    web.reached = 7
    (polled,) = partition({"web": web}, threading.Event()).next_batch()
    assert polled.reached == 7


def test_it_ends_when_it_is_stopped() -> None:
    stop = threading.Event()
    one = partition({"web": Scripted([])}, stop)
    stop.set()
    with pytest.raises(StopIteration):
        one.next_batch()


@pytest.mark.parametrize("error", [SourceError("no more"), PermissionError("not you")])
def test_a_source_that_fails_ends_all_with_what_was_read_so_far(error: Exception) -> None:
    failures: list[Exception] = []
    chunk = Chunk("a.jsonl", 0, 1)
    sources = {"web": Scripted([[chunk]]), "app": Scripted([error])}
    one = partition(sources, threading.Event(), failures.append)
    assert [polled.source for polled in one.next_batch()] == ["web"]
    assert failures == [error]
    with pytest.raises(StopIteration):
        one.next_batch()
