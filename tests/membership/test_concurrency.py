"""Several writers and readers at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from membership.errors import OwnerChanged
from tests.membership.places import Place
from tests.membership.stories import NOW, proposals

WRITERS = 4
BATCHES = 25


def at_once(*tasks: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(tasks)) as threads:
        for done in [threads.submit(task) for task in tasks]:
            done.result()


def test_positions_become_visible_in_their_order_and_without_gaps(place: Place) -> None:
    """A reader that takes up where it left off misses nothing, whoever commits first."""
    stores = [place.owner(group) for group in range(WRITERS)]
    reader = place.reader()
    finished = threading.Event()
    seen: list[int] = []

    def write(group: int) -> None:
        for number in range(BATCHES):
            users = " ".join(f"w{group}n{number}u{user}+1" for user in range(3))
            audience = f"keen{number % 5}"  # met for the first time by all of them
            stores[group].record([proposals(users, group=group, audience=audience)], NOW)

    def read() -> None:
        after = 0
        while True:
            over = finished.is_set()
            page = reader.transitions(after)
            seen.extend(one.position for one in page.entries)
            after = page.position
            if over and not page.entries:
                return

    def write_all() -> None:
        try:
            at_once(*(lambda group=group: write(group) for group in range(WRITERS)))  # type: ignore[misc]
        finally:
            finished.set()

    at_once(write_all, read)
    assert seen == list(range(1, WRITERS * BATCHES * 3 + 1))


def test_readers_are_not_in_the_writers_way(place: Place) -> None:
    store = place.owner()
    users = " ".join(f"u{user}+1" for user in range(3_000))
    store.record([proposals(users)], NOW)
    heads = place.reader().heads("users", 0)
    next(heads)
    store.record([proposals("zoe+2")], NOW)  # while the other has read a part
    assert len(list(heads)) == 3_000


def test_many_open_a_new_store_at_once(place: Place) -> None:
    at_once(*[place.store] * 4)
    place.owner().record([proposals("ann+1")], NOW)
    assert place.reader().end() == 1


def test_of_many_that_claim_a_group_the_last_one_writes(place: Place) -> None:
    stores = [place.store() for _ in range(4)]
    at_once(*(lambda store=store: store.claim([("users", 0)]) for store in stores))  # type: ignore[misc]
    accepted = 0
    for store in stores:
        try:
            store.record([proposals("ann+1")], NOW)
            accepted += 1
        except OwnerChanged:
            pass
    assert accepted == 1


def test_a_claim_waits_for_what_is_being_recorded(place: Place) -> None:
    """Whoever has claimed a group sees all that was ever recorded for it."""
    old = place.owner()
    reader = place.reader()
    stop = threading.Event()

    def write() -> None:
        second = 0
        while not stop.is_set():
            second += 1
            try:
                old.record([proposals(f"u{second}+1")], NOW)
            except OwnerChanged:
                stop.set()

    def claim() -> None:
        while reader.end() < 5:
            pass
        place.owner()
        seen = reader.end()
        assert stop.wait(60)
        assert reader.end() == seen

    at_once(write, claim)
