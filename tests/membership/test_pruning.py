"""The journal forgets what the project does not keep, and nothing that is still to be delivered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dataflows.pruning import Pruning
from membership.retention import Retention
from membership.store import MembershipStore
from tests.cli.jobs import eventually
from tests.membership.places import Place, SqlitePlace
from tests.membership.stories import NOW, journal, proposals

STORY = "ann+1 ann-2 ann+3"
LAST = Retention(keep_rows=1)


@pytest.fixture
def said() -> list[str]:
    return []


@contextmanager
def pruning(
    store: MembershipStore, said: list[str], every: float, retention: Retention = LAST
) -> Iterator[None]:
    pruning = Pruning(store, retention, said.append, every)
    yield
    pruning.close()


def test_pruning_is_done_at_the_start_and_again_and_again(
    place: Place,
    said: list[str],
) -> None:
    store, reader = place.owner(), place.reader()
    store.record([proposals(STORY)], NOW)
    with pruning(store, said, 0.01):
        eventually(lambda: journal(reader) == "ann+3#3")
        store.record([proposals("ann-4@4")], NOW)
        eventually(lambda: journal(reader) == "ann-4#4")
        eventually(lambda: len(said) == 2)
    assert said == [
        "2 old transitions were removed from the journal",
        "1 old transitions were removed from the journal",
    ]


def test_pruning_waits_for_what_is_not_delivered(
    place: Place,
    said: list[str],
) -> None:
    store, reader = place.owner(), place.reader()
    store.cursors.open(["sync/slow", "sync/gone"])
    store.record([proposals(STORY)], NOW)
    store.cursors.advance({"sync/slow": 1})
    assert store.ledger.forget_others({"slow"}) == ["gone"]
    with pruning(store, said, 0.01):
        eventually(lambda: journal(reader) == "ann-2#2 ann+3#3")
        store.cursors.advance({"sync/slow": 3})
        eventually(lambda: journal(reader) == "ann+3#3")


def test_a_store_that_fails_is_told_and_tried_again(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("membership.sqlite.PATIENCE", 0.05)
    place = SqlitePlace(tmp_path / "store.db")
    with closing(place), closing(sqlite3.connect(place.path, isolation_level=None)) as other:
        store, reader = place.owner(), place.reader()
        store.record([proposals(STORY)], NOW)
        other.execute("BEGIN IMMEDIATE")
        with pruning(store, said, 0.01):
            eventually(lambda: said)
            other.execute("ROLLBACK")
            eventually(lambda: journal(reader) == "ann+3#3")
    assert said[0].startswith("the journal could not be pruned: ")
    assert "another process has kept the store locked" in said[0]
    assert said[0].endswith("; it will be tried again")
    assert said[-1] == "2 old transitions were removed from the journal"
