"""The thread that delivers, on a real store, to destinations that are watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from audience_dsl.definitions import Sync
from connectors.destinations.destination import (
    ACCEPTED,
    Answer,
    Capacity,
    Exchange,
    Message,
    Outcome,
    Verdict,
)
from connectors.sentences import Alarm
from delivery.deliveries import Deliveries
from delivery.feed import Work
from delivery.pins import PinnedProfiles
from membership.deliveries import Ask
from membership.errors import OwnerChanged
from membership.reader import MembershipReader
from membership.sqlite import SqliteDatabase
from membership.store import MembershipStore
from membership.tail import JournalTail
from tests.cli.jobs import PATIENCE, eventually
from tests.membership.stories import NOW, proposals
from warehouse.profiles import ProfileVersions


class Watched:
    """Keeps what it accepts; `say` decides, and may raise or never return."""

    def __init__(self, capacity: Capacity | None = None) -> None:
        self.capacity = capacity or Capacity()
        self.taken: list[Message] = []
        self.asked = 0
        self.closed = False
        self.say: Callable[[Message], Outcome] = lambda _: ACCEPTED
        self.hangs = False

    async def send(self, messages: Sequence[Message]) -> Answer:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        outcomes = [self.say(one) for one in messages]
        pairs = zip(messages, outcomes, strict=True)
        self.taken += [one for one, outcome in pairs if outcome.verdict is Verdict.ACCEPTED]
        return Answer(outcomes, Exchange("POST", "said"))

    async def test(self) -> None:
        """It is always there."""

    async def close(self) -> None:
        self.closed = True

    def told(self) -> str:
        """In the order in which they were accepted."""
        return " ".join(
            f"{one.user_id}{'+' if one.entered else '-'}{one.record['sequence']}"
            for one in self.taken
        )


class Office:
    """A store, and deliveries that are begun and ended on it."""

    def __init__(self, path: Path, held: ExitStack) -> None:
        self.store = held.enter_context(
            closing(MembershipStore(SqliteDatabase(path, writable=True)))
        )
        self.store.claim([("users", 0)])
        self.reader = held.enter_context(
            closing(MembershipReader(SqliteDatabase(path, writable=False)))
        )
        self.tail = JournalTail(self.reader)
        self.said: list[str] = []
        self._root = path.parent
        self._held = held

    def begin(self, destinations: dict[str, Watched], **options: Any) -> Deliveries:
        syncs = [Sync(key, "keen", key, **options) for key in destinations]
        versions = ProfileVersions(self._root, "users", None)
        profiles = PinnedProfiles("users", list(destinations), versions, self.said.append)
        works = [Work(sync, "users", "v1", profiles) for sync in syncs]
        deliveries = Deliveries(works, lambda sync: destinations[sync.key], self.said.append)
        self._held.callback(deliveries.close)
        deliveries.begin(self.store.ledger, self.reader, self.tail, lambda: None)
        return deliveries

    def record(self, story: str, **more: Any) -> None:
        self.tail.announce(self.store.record([proposals(story, **more)], NOW))

    def drain(self, deliveries: Deliveries) -> None:
        deliveries.drain(self.tail.look(), PATIENCE)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with ExitStack() as held:
        yield Office(tmp_path / "store.db", held)


def test_what_is_recorded_is_sent_and_remembered(office: Office) -> None:
    bus = Watched()
    deliveries = office.begin({"bus": bus})
    office.record("ann+1 ann-2 ann+3")
    office.drain(deliveries)
    assert bus.told() == "ann+1 ann-2 ann+3"
    assert office.store.cursors.all() == {"sync/bus": 3}
    log = office.reader.deliveries
    assert log.states()["bus"].sent == 3
    assert [one.response for _, one in log.attempts("bus")] == ["said"] * 3
    deliveries.close()
    assert bus.closed


def test_a_destination_that_hangs_raises_or_lies_harms_no_other(office: Office) -> None:
    def raises(_message: Message) -> Outcome:
        raise KeyError("x")

    bus, hanging, raising, lying = Watched(), Watched(), Watched(), Watched()
    hanging.hangs = True
    raising.say = raises
    lying.send = lambda messages: _nothing()  # type: ignore[method-assign]
    named = {"bus": bus, "hanging": hanging, "raising": raising, "lying": lying}
    deliveries = office.begin(named)
    office.record(" ".join(f"u{number}+1" for number in range(100)))
    eventually(lambda: len(bus.taken) == 100)
    deliveries.drain(100, 0.2)
    states = office.reader.deliveries.states()
    assert "KeyError" in states["raising"].reason
    assert "0 outcomes of 1 messages" in states["lying"].reason
    assert "sync 'hanging': what follows position 0" in " ".join(office.said)


async def _nothing() -> Answer:
    return Answer([], Exchange(""))


def test_what_waits_outlives_a_restart(office: Office) -> None:
    bus = Watched()
    bus.say = lambda one: Outcome(Verdict.RETRY, "busy") if one.user_id == "ann" else ACCEPTED
    first = office.begin({"bus": bus})
    office.record("ann+1 ann-2 ben+1")
    office.drain(first)
    first.close()
    assert bus.told() == "ben+1"
    assert office.store.cursors.all() == {"sync/bus": 3}
    again = Watched()
    second = office.begin({"bus": again})
    eventually(lambda: again.told() == "ann+1 ann-2")
    office.drain(second)
    assert office.reader.deliveries.waiting_counts() == {}
    assert office.reader.deliveries.states()["bus"].retried == 1


def test_a_new_sync_sends_who_is_a_member_in_order_with_the_journal(office: Office) -> None:
    users = " ".join(f"u{number:04}+1" for number in range(2_500))
    office.record(users)
    office.record("gone+1 gone-2")
    bus = Watched(Capacity(messages=100))
    deliveries = office.begin({"bus": bus})
    office.record("u2400-2@2 u2400+3 new+2")
    eventually(lambda: office.reader.deliveries.populations()["bus"].is_complete)
    office.drain(deliveries)
    told: dict[str, list[object]] = {}
    for one in bus.taken:
        told.setdefault(one.user_id, []).append(one.record["sequence"])
    assert told.pop("new") == [1]
    assert told.pop("u2400") in ([1, 2, 3], [2, 3])
    assert told == {f"u{number:04}": [1] for number in range(2_500) if number != 2_400}
    (one,) = [one for one in bus.taken if one.user_id == "u0007"]
    recorded = office.reader.transitions(user_id="u0007").entries[0].record
    assert (one.id, one.record["cause"]) == (recorded.id, recorded.cause)


def test_held_back_are_members_and_those_who_enter_without_a_cause_of_their_own(
    office: Office,
) -> None:
    from engine.transitions import Cause

    office.record("ann+1")
    bus = Watched()
    deliveries = office.begin({"bus": bus}, sends_initial=False)
    office.record("ben+2", cause=Cause.DEFINITION_CHANGED)
    office.record("ann-2@2 eve+3")
    office.drain(deliveries)
    assert sorted(bus.told().split()) == ["ann-2", "eve+1"]


def test_what_is_asked_for_is_done_within_a_second_or_at_the_next_start(office: Office) -> None:
    bus = Watched()
    bus.say = lambda _: Outcome(Verdict.GONE, "410")
    first = office.begin({"bus": bus})
    office.record("ann+1 ben+1")
    eventually(lambda: any("is disabled" in one for one in office.said))
    office.drain(first)
    bus.say = lambda one: Outcome(Verdict.REJECTED, "no") if one.user_id == "ben" else ACCEPTED
    office.store.ledger.ask("bus", Ask.RESUME, NOW)
    eventually(lambda: office.reader.deliveries.dead_letter_counts() == {"bus": 1})
    assert bus.told() == "ann+1"
    office.drain(first)
    first.close()
    letter = office.reader.deliveries.dead_letters("bus")[0]
    assert (letter.user_id, letter.reason, letter.request) == ("ben", "no", "POST")
    office.store.ledger.ask("bus", Ask.REPLAY, letter.at + 1)
    healed = Watched()
    second = office.begin({"bus": healed})
    eventually(lambda: healed.told() == "ben+1")
    eventually(lambda: office.reader.deliveries.dead_letter_counts() == {})
    office.store.ledger.ask("bus", Ask.RESYNC, NOW)
    eventually(lambda: len(healed.taken) == 3)
    assert sorted(healed.told().split()) == ["ann+1", "ben+1", "ben+1"]
    office.drain(second)
    assert office.store.ledger.requests() == []


def test_what_is_asked_of_a_sync_that_it_does_not_know_waits_for_one_that_does(
    office: Office,
) -> None:
    old, new = Watched(), Watched()
    first = office.begin({"old": old, "new": new})
    office.record("ann+1")
    office.drain(first)
    first.close()
    second = office.begin({"old": old})
    office.store.ledger.ask("new", Ask.RESYNC, NOW)
    office.store.ledger.ask("old", Ask.RESYNC, NOW)
    eventually(lambda: [one.sync for one in office.store.ledger.requests()] == ["new"])
    second.close()
    office.begin({"old": old, "new": new})
    eventually(lambda: new.told() == "ann+1 ann+1")
    eventually(lambda: office.store.ledger.requests() == [])


def test_who_delivered_before_has_to_stop(office: Office, tmp_path: Path) -> None:
    bus = Watched()
    deliveries = office.begin({"bus": bus})
    with closing(MembershipStore(SqliteDatabase(tmp_path / "store.db", writable=True))) as other:
        other.ledger.claim()
    office.record("ann+1")
    eventually(lambda: deliveries.failure is not None)
    with pytest.raises(OwnerChanged):
        office.drain(deliveries)


def _at_first(faults: list[Exception], call: Callable[..., Any]) -> Callable[..., Any]:
    """A call that raises these, and works from then on."""

    def called(*given: Any) -> Any:
        if faults:
            raise faults.pop()
        return call(*given)

    return called


def test_a_lane_goes_on_when_a_fault_has_passed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delivery.deliveries._PAUSE", 0.01)
    bus = Watched()
    deliveries = office.begin({"bus": bus})
    office.record("ann+1 ben+1")
    office.drain(deliveries)
    faults: list[Exception] = [OSError(28, "No space"), OSError(28, "No space"), KeyError("x")]
    monkeypatch.setattr(office.tail, "after", _at_first(faults, office.tail.after))
    office.record("ann-2 eve+1")
    office.drain(deliveries)
    assert sorted(bus.told().split()) == ["ann+1", "ann-2", "ben+1", "eve+1"]
    assert bus.told().index("ann+1") < bus.told().index("ann-2")
    alarms = [one for one in office.said if isinstance(one, Alarm)]
    assert [one.split(": ")[1].split()[0] for one in alarms] == ["KeyError", "OSError"]
    assert alarms[0].startswith("sync 'bus' is held up by a fault of Usher's, and tried again")


def test_all_is_written_down_when_a_fault_of_the_ledger_has_passed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delivery.deliveries._PAUSE", 0.01)
    bus, van = Watched(), Watched()
    ledger = office.store.ledger
    faults: list[Exception] = [OSError(5, "Input/output error")] * 2
    monkeypatch.setattr(ledger, "write", _at_first(faults, ledger.write))
    office.begin({"bus": bus, "van": van})
    office.record("ann+1 ben+1")
    eventually(lambda: office.store.cursors.all() == {"sync/bus": 2, "sync/van": 2})
    assert [one for one in office.said if "the ledger is held up" in one] == office.said
    assert len(office.said) == 1
