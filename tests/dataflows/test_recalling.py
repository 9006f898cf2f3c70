"""Histories that are read one after the other, and when what they lack is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from connectors.sources.history import ALL_KNOWN, NOTHING_KNOWN, NoHistory
from dataflows.backfill import (
    Backfill,
    read_report,
    request_backfill,
    requested_backfill,
    sentences,
)
from dataflows.recalling import Ends, Histories, Recall, Recalled
from dataflows.steps import GroupTransitions
from engine.group import Counts
from engine.hashing import GROUPS
from engine.transitions import NO_TRANSITIONS

CHUNK = Chunk("a.jsonl", 0, 1)
LONG, SHORT, BOTH = ("users", 0), ("users", 1), ("users", 2)
RECALL = Recall(
    {"users": {0: "long", 1: "short", 2: "both"}},
    {"users": {0, 1, 2}},
    {LONG: {"web"}, SHORT: {"app"}, BOTH: {"web", "app"}},
    since=100,
    clock=1_000,
)


class Scripted:
    """A history of some polls."""

    size = 10
    known_since = ALL_KNOWN
    lack = ""

    def __init__(self, *polls: Chunk | Exception | None) -> None:
        self._polls = list(polls)
        self.done = 0
        self.is_closed = False

    @property
    def ended(self) -> bool:
        return not self._polls

    def poll(self) -> Chunk | None:
        self.done += 1
        one = self._polls.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    def close(self) -> None:
        self.is_closed = True


class Told:
    def __init__(self) -> None:
        self.lacking: list[tuple[str, str]] = []
        self.read: list[tuple[int, int]] = []

    def progress(self, done: int, size: int) -> None:
        self.read.append((done, size))

    def lacks(self, source: str, why: str) -> None:
        self.lacking.append((source, why))


def all_of(histories: Histories) -> list[Recalled | None]:
    found = []
    while not histories.ended:
        found.append(histories.poll())
    return found


def opened(told: Told, **sources: Any) -> Histories:
    opens = {key: lambda _position, _since, one=one: one for key, one in sources.items()}
    return Histories(opens, {}, RECALL, told)


def test_one_after_the_other() -> None:
    told = Told()
    web, app = Scripted(CHUNK, None, None), Scripted(CHUNK, CHUNK, None)
    assert all_of(opened(told, web=web, app=app)) == [
        Recalled("app", CHUNK),
        Recalled("app", CHUNK),
        Recalled("app", None, ALL_KNOWN),
        Recalled("web", CHUNK),
        None,  # for the moment
        Recalled("web", None, ALL_KNOWN),
    ]
    assert told.read == [(1, 20), (2, 20), (3, 20), (11, 20), (12, 20), (13, 20)]
    assert (web.is_closed, app.is_closed) == (True, True)


@pytest.mark.parametrize("error", [SourceError("no more"), PermissionError("not you")])
def test_one_that_fails_is_as_good_as_none(error: Exception) -> None:
    told = Told()
    web = Scripted(CHUNK, error)
    assert all_of(opened(told, web=web, app=NoHistory())) == [
        Recalled("app", None, NOTHING_KNOWN),
        Recalled("web", CHUNK),
        Recalled("web", None, NOTHING_KNOWN),
    ]
    assert told.lacking == [("app", "standard input has no history"), ("web", str(error))]
    assert web.is_closed


def test_one_that_cannot_be_opened() -> None:
    def refuse(_positions: Sequence[bytes], _since: int) -> Scripted:
        raise SourceError("not there")

    told = Told()
    histories = Histories({"web": refuse, "app": lambda _p, _s: Scripted(None)}, {}, RECALL, told)
    assert set(all_of(histories)) == {
        Recalled("web", None, NOTHING_KNOWN),
        Recalled("app", None, ALL_KNOWN),
    }
    assert told.lacking == [("web", "not there")]


def test_a_condition_is_as_complete_as_its_least_complete_source() -> None:
    ends = Ends(RECALL)
    assert ends.take("app", 500) is None
    assert ends.take("web", ALL_KNOWN) == {"users": {0: 100, 1: 500, 2: 500}}


def end_of(group: int, **warming: int) -> GroupTransitions:
    counts = Counts(0, 0, 0, 0)
    return GroupTransitions("users", group, NO_TRANSITIONS, counts, "", 0, None, warming)


def test_a_request_stays_until_what_was_recalled_is_stored(tmp_path: Path) -> None:
    request = request_backfill(tmp_path)
    assert request_backfill(tmp_path) == request == requested_backfill(tmp_path)
    backfill = Backfill(tmp_path, request)
    backfill.begin(RECALL)
    backfill.settle()
    backfill.settle()
    backfill.take([end_of(group) for group in range(GROUPS - 1)])
    backfill.settle()
    backfill.close()
    assert requested_backfill(tmp_path) == request
    backfill.take([end_of(GROUPS - 1, short=1_500_000, other=7)])
    for _ in range(2):
        backfill.settle()
        assert requested_backfill(tmp_path) == request
    backfill.settle()
    assert requested_backfill(tmp_path) is None
    report = read_report(tmp_path)
    assert report is not None
    assert (report.request, report.ended) == (request, True)
    assert sentences(report) == [
        "exact now: long",
        "exact now: both",
        "warming, exact from 1970-01-01T00:00:01.500000Z on: short",
    ]


def test_there_may_be_nothing_to_do(tmp_path: Path) -> None:
    said: list[str] = []
    backfill = Backfill(tmp_path, request_backfill(tmp_path), said.append)
    backfill.begin(Recall({"users": {}}, {"users": set()}, {}, 0, 0))
    assert said == ["backfill: nothing to backfill: no condition is warming"]
    assert requested_backfill(tmp_path) is None
