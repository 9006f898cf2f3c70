"""What is written down of deliveries: the same on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from membership.deliveries import (
    Ask,
    Attempt,
    Changes,
    DeadLetter,
    Population,
    Request,
    SyncState,
    SyncStatus,
    Waiting,
    Who,
)
from membership.errors import OwnerChanged
from membership.ledger import KEPT_ATTEMPTS, Ledger
from membership.retention import Retention
from tests.membership.places import Place
from tests.membership.stories import NOW, proposals


@pytest.fixture
def ledger(place: Place) -> Ledger:
    ledger = place.owner().ledger
    ledger.claim()
    return ledger


def nobody(_position: int) -> Population | None:
    return None


def waiting(user: str, sequence: int, **more: Any) -> Waiting:
    return Waiting(user, sequence, sequence, '{"id":"\\u0000"}', "", **more)


def letter(user: str, sequence: int, **more: Any) -> DeadLetter:
    plain = DeadLetter(user, sequence, sequence, f"{user}-{sequence}", "{}", "", 3, NOW, "said no")
    return replace(plain, **more)


def attempt(number: int) -> Attempt:
    return Attempt(NOW + number, 5, 1, "id", "retry", "no\0answer", 503, "POST", "…")


def test_a_new_sync_begins_at_the_end_of_the_journal(place: Place, ledger: Ledger) -> None:
    store = place.owner()
    store.record([proposals("ann+1 ben+1")], NOW)
    opened = ledger.open("bus", lambda position: Population(position, "v", NOW))
    assert (opened.cursor, opened.population) == (2, Population(2, "v", NOW))
    assert opened.state == SyncState()
    store.record([proposals("ann-2@2")], NOW)
    again = ledger.open("bus", lambda _: pytest.fail("it is not new"))
    assert replace(again, sent=()) == opened


def test_what_is_written_is_what_it_goes_on_from(place: Place, ledger: Ledger) -> None:
    place.owner().record([proposals("ann+1 ben+1")], NOW)
    ledger.open("bus", nobody)
    ledger.open("other", nobody)
    state = SyncState(SyncStatus.PAUSED, NOW, "401", NOW, 9, 8, 7, 6)
    ledger.write(
        [
            Changes(
                "bus",
                3,
                Population(1, "v", NOW, "b\0en"),
                [waiting("ann", 5, attempts=2, due=NOW), waiting("ann\1", 4), waiting("ann", 4)],
                dead=[letter("zoë", 9), letter("zoë", 1)],
                attempts=[attempt(1), attempt(2)],
                state=state,
            ),
            Changes("other", 7),
        ]
    )
    opened = ledger.open("bus", nobody)
    assert opened.cursor == 3
    assert opened.population == Population(1, "v", NOW, "b\0en")
    assert [one.who for one in opened.waiting] == [("ann", 4), ("ann", 5), ("ann\1", 4)]
    assert opened.waiting[1] == waiting("ann", 5, attempts=2, due=NOW)
    assert opened.dead == {Who("zoë", 9)}, "the other is behind the cursor"
    assert opened.state == state
    ledger.write(
        [
            Changes(
                "bus",
                9,
                waiting=[waiting("ann", 5, attempts=3)],
                settled=[Who("ann", 4), Who("nobody", 1)],
                revived=[Who("zoë", 9)],
            )
        ]
    )
    opened = ledger.open("bus", nobody)
    assert [(one.who, one.attempts) for one in opened.waiting] == [
        (("ann", 5), 3), (("ann\1", 4), 0),
    ]  # fmt: skip
    assert [one.who for one in ledger.dead_letters("bus")] == [("zoë", 1)]


def test_who_reads_sees_all_of_it(place: Place, ledger: Ledger) -> None:
    ledger.open("bus", nobody)
    letters = [letter(f"u{number}", 1) for number in range(5)]
    attempts = [attempt(number) for number in range(1, 6)]
    ledger.write(
        [Changes("bus", 0, None, [waiting("a", 1)], [], letters, [], attempts, SyncState(sent=4))]
    )
    log = place.reader().deliveries
    assert log.states() == {"bus": SyncState(sent=4)}
    assert log.waiting_counts() == {"bus": (1, None)}
    assert log.cursors() == {"bus": 0}
    assert log.dead_letter_counts() == {"bus": 5}
    assert log.dead_letters("bus", limit=3) == letters[:3]
    assert log.dead_letters("bus", after=("u2", 1)) == letters[3:]
    assert log.dead_letters("bus", until=NOW) == []
    assert log.dead_letters("bus", id="u3-1") == letters[3:4]
    assert log.dead_letter("u3-1") == [("bus", letters[3])]
    assert log.attempts("bus", limit=2) == [(5, attempt(5)), (4, attempt(4))]
    assert [number for number, _ in log.attempts("bus", before=4)] == [3, 2, 1]
    assert [number for number, _ in log.attempts_after("bus", 2, 2)] == [3, 4]


def test_the_last_attempts_are_kept(ledger: Ledger) -> None:
    ledger.open("bus", nobody)
    for first in range(0, KEPT_ATTEMPTS + 100, 5_050):
        some = [attempt(number) for number in range(first, first + 5_050)]
        ledger.write([Changes("bus", 0, attempts=some)])
    found = ledger.attempts("bus", limit=2 * KEPT_ATTEMPTS)
    assert len(found) == KEPT_ATTEMPTS
    assert [found[0][0], found[-1][0]] == [10_100, 101]


def test_who_delivered_before_is_refused(place: Place, ledger: Ledger) -> None:
    ledger.open("bus", nobody)
    other = place.store().ledger
    other.claim()
    other.write([Changes("bus", 1)])
    with pytest.raises(OwnerChanged):
        ledger.write([Changes("bus", 2)])
    assert other.open("bus", nobody).cursor == 1


def test_requests_are_kept_until_they_are_done(place: Place, ledger: Ledger) -> None:
    place.store().ledger.ask("bus", Ask.RESUME, NOW)
    asked = place.store().ledger.ask("bus", Ask.REPLAY, NOW + 1, "u3-1")
    first, second = ledger.requests()
    assert second == asked == Request(2, "bus", Ask.REPLAY, "u3-1", NOW + 1)
    assert (first.kind, first.letter) == (Ask.RESUME, "")
    ledger.write([], done=[first.number])
    assert ledger.requests() == [second]


def test_what_was_sent_lately_is_known_to_the_next_and_to_nobody_after_a_crash(
    place: Place, ledger: Ledger
) -> None:
    assert ledger.open("bus", nobody).sent == (), "it is new"
    assert ledger.open("bus", nobody).sent is None, "nobody has ended in order"
    ledger.leave({"bus": [(NOW, 2), (NOW + 1, 1)]})
    assert ledger.open("bus", nobody).sent == [(NOW, 2), (NOW + 1, 1)]
    assert ledger.open("bus", nobody).sent is None
    place.store().ledger.claim()
    with pytest.raises(OwnerChanged):
        ledger.leave({"bus": []})


def test_syncs_that_are_defined_no_more_are_forgotten(ledger: Ledger) -> None:
    ledger.open("bus", nobody)
    ledger.open("gone", lambda position: Population(position, "v", NOW))
    ledger.write([Changes("gone", 1, None, [waiting("a", 1)], [], [letter("b", 1)])])
    ledger.ask("gone", Ask.RESUME, NOW)
    ledger.ask("never begun", Ask.RESUME, NOW)
    assert ledger.forget_others({"bus"}) == ["gone"]
    assert ledger.requests() == []
    opened = ledger.open("gone", nobody)
    assert (opened.waiting, opened.dead, opened.population) == ([], frozenset(), None)
    assert ledger.forget_others({"bus", "gone"}) == []


def test_members_that_are_still_to_be_sent_keep_the_journal(place: Place, ledger: Ledger) -> None:
    store = place.owner()
    store.record([proposals("ann+1 ben+1")], NOW)
    first = Population(2, "v", NOW)
    ledger.open("bus", lambda _: first)
    store.record([proposals("ann-2@2 eve+2")], NOW)
    ledger.write([Changes("bus", 4, first)])
    assert store.prune(Retention(keep_rows=0), NOW) == 2
    reader = place.reader()
    assert reader.moved_since("users", "keen", 2, ["ann", "ben", "eve"]) == {"ann", "eve"}
    assert reader.moved_since("users", "keen", 2, ["ben"]) == set()
    ledger.write([Changes("bus", 4, replace(first, after="ben", is_complete=True))])
    assert store.prune(Retention(keep_rows=0), NOW) == 2


def test_a_snapshot_is_pinned_from_a_position_on(place: Place, ledger: Ledger) -> None:
    store = place.owner()
    assert ledger.pin("users", "first") == 0
    store.record([proposals("ann+1")], NOW)
    assert ledger.pin("users", "first") == 0, "it is that one already"
    assert ledger.pin("users", "second") == 1
    store.record([proposals("ann-2@2")], NOW)
    assert ledger.pin("users", "third") == 2
    assert ledger.pins("users") == [(0, "first"), (1, "second"), (2, "third")]
    ledger.unpin("users", 1)
    assert ledger.pins("users") == [(1, "second"), (2, "third")]
    ledger.unpin("users", 99)
    assert ledger.pins("users") == [(2, "third")]


def test_entries_are_withheld_until_they_are_released(ledger: Ledger) -> None:
    users = [f"u{number}" for number in range(250)]
    entries = [Who(user, 1) for user in users]
    ledger.withhold("bus", [*entries, Who("u0", 3)])
    ledger.withhold("bus", entries[:1])
    assert ledger.withheld("bus", [*users, "nobody"]) == {*entries, Who("u0", 3)}
    assert ledger.withheld("other", users) == set()
    ledger.release("bus", entries)
    assert ledger.withheld("bus", users) == {Who("u0", 3)}
