"""One connection for many who ask: while it is well, when it is lost, and at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from membership.errors import StoreMissing, StoreUnavailable
from membership.reader import MembershipReader
from project.stores import open_reader
from serving.stores import Store
from tests.serving.asking import held_up, project
from tests.serving.recorded import Turn, record


class Places:
    """Opens readers, or fails to."""

    def __init__(self, open_: Callable[[], MembershipReader]) -> None:
        self.opened = 0
        self.why: Exception | None = None
        self._open = open_

    def __call__(self) -> MembershipReader:
        self.opened += 1
        if self.why is not None:
            time.sleep(0.2)
            raise self.why
        return self._open()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    loaded = project(tmp_path / "project")
    record(loaded, Turn("u1", "keen"))
    return Places(lambda: open_reader(loaded))


@pytest.fixture
def store(places: Places) -> Iterator[Store]:
    with closing(Store(places)) as one:
        yield one


def test_who_has_waited_for_a_connection_in_vain_makes_no_other(
    places: Places, store: Store
) -> None:
    places.why = StoreUnavailable("it does not answer")

    def told(_: int) -> str:
        with pytest.raises(StoreUnavailable) as raised:
            store.read(MembershipReader.end)
        return str(raised.value)

    with ThreadPoolExecutor(20) as many:
        assert set(many.map(told, range(20))) == {"it does not answer"}
    assert places.opened == 1
    places.why = None
    time.sleep(0.6)
    assert store.read(MembershipReader.end) == 1


def test_a_store_that_is_made_is_read_at_once(places: Places, store: Store) -> None:
    places.why = StoreMissing("nothing yet")
    with pytest.raises(StoreMissing):
        store.read(MembershipReader.end)
    places.why = None
    assert store.read(MembershipReader.end) == 1


def test_nobody_is_told_of_a_connection_that_was_lost_while_nobody_asked(
    places: Places, store: Store
) -> None:
    answers: list[Callable[[], int]] = []

    def ask(reader: MembershipReader) -> int:
        return answers.pop()() if answers else reader.end()

    def lost() -> int:
        raise StoreUnavailable("it was lost")

    assert store.read(ask) == 1
    answers += [lost]
    assert store.read(ask) == 1
    assert places.opened == 2
    answers += [lost, lost]
    with pytest.raises(StoreUnavailable, match="it was lost"):
        store.read(ask)


def test_the_end_waits_for_no_answer(store: Store) -> None:
    with held_up(store):
        began = time.monotonic()
        ending = threading.Thread(target=store.close, daemon=True)
        ending.start()
        ending.join(10)
        assert not ending.is_alive()
        assert time.monotonic() - began < 10
