"""What a lane does about each answer, told as stories in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from connectors.destinations.destination import (
    ACCEPTED,
    Answer,
    Capacity,
    Exchange,
    Outcome,
    Verdict,
    Window,
)
from delivery.backoff import backoff
from delivery.batch import Batch
from delivery.entries import Entry, Unsendable
from delivery.lane import PARKED, Lane
from delivery.queues import Item, Queues
from membership.deliveries import Population, Remembered, SyncState, SyncStatus, Who
from tests.delivery.simulation import HOUR, SECOND, message

NOW = 1_700_000_000 * SECOND


class Story:
    """A lane, and what it was seen to do; jitter is the largest, so that waits are plain."""

    def __init__(self, capacity: Capacity | None = None, **more: Any) -> None:
        self.now = NOW
        self.lane = Lane("s", capacity or Capacity(requests=1), Remembered(0, **more))
        self.letters: list[tuple[str, str]] = []
        self.last: Batch | None = None

    def stopped(self) -> Remembered:
        """What the next lane goes on from, if this one is stopped now."""
        kept = self.keeps()
        return Remembered(kept.cursor, kept.population, kept.waiting)

    def read_members(self, *users: str, last: bool = True) -> None:
        entries = [Entry(0, message(user, 1), True) for user in users]
        self.lane.read_members(entries, None if last else users[-1], self.now)

    def read(self, *names: str) -> None:
        """Messages named like `ann+1`."""
        entries = []
        for at, name in enumerate(names, self.lane.position + 1):
            user, _, sequence = name.replace("-", "+").partition("+")
            entries.append(Entry(at, message(user, int(sequence))))
        self.lane.read(entries, self.lane.position + len(names), self.now)

    def sends(self) -> str:
        """The next batch."""
        self.last = self.lane.next_batch(self.now)
        return " ".join(one.id for one in self.last.messages) if self.last else ""

    def hears(self, *outcomes: Outcome) -> None:
        assert self.last is not None
        all_of_them = list(outcomes) * len(self.last.items) if len(outcomes) == 1 else outcomes
        self.lane.answered(self.last, Answer(all_of_them, Exchange("?")), self.now, 0.999_999)

    def sends_all(self) -> list[str]:
        """All that may go now, and is accepted."""
        told = []
        while batch := self.sends():
            told.append(batch)
            self.hears(ACCEPTED)
        return told

    def waits(self) -> float:
        """Until the lane wants to go on; in seconds."""
        due = self.lane.due(self.now)
        assert due is not None
        before, self.now = self.now, due
        return round((due - before) / SECOND, 2)

    def keeps(self) -> Any:
        changes = self.lane.changes()
        assert changes is not None
        self.letters += [(one.id, one.reason) for one in changes.dead]
        self.lane.saved()
        return changes


RETRY = Outcome(Verdict.RETRY, "no answer")


def test_waits_double_up_to_five_minutes_and_are_drawn_from_zero_on() -> None:
    assert [round(backoff(n, 0.999_999) / SECOND) for n in range(1, 12)] == [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300,
    ]  # fmt: skip
    assert backoff(5, 0.0) == 0
    assert backoff(10_000, 0.5) == 150 * SECOND


def test_a_message_that_fails_holds_its_user_and_nobody_else() -> None:
    story = Story()
    story.read("ann+1", "ann-2", "ben+1")
    assert story.sends() == "ann-1"
    story.hears(RETRY)
    assert story.sends() == "ben-1"
    story.hears(ACCEPTED)
    assert story.sends() == ""
    assert story.lane.cursor == 3
    kept = story.keeps()
    assert [(one.user_id, one.sequence, one.attempts) for one in kept.waiting] == [
        ("ann", 1, 1), ("ann", 2, 0),
    ]  # fmt: skip
    assert story.waits() == 1
    for expected in ("ann-1", "ann-2"):
        assert story.sends() == expected
        story.hears(ACCEPTED)
    assert len(story.keeps().settled) == 2
    assert story.lane.parked == 0


def test_only_what_failed_of_a_batch_is_repeated() -> None:
    story = Story(Capacity(messages=3, requests=1))
    story.read("ann+1", "ben+1", "eve+1", "ann-2")
    assert story.sends() == "ann-1 ben-1 eve-1"
    story.hears(RETRY, ACCEPTED, Outcome(Verdict.REJECTED, "no such user"))
    assert story.sends() == ""
    story.waits()
    assert story.sends() == "ann-1"
    story.hears(ACCEPTED)
    assert story.sends() == "ann-2"
    story.keeps()
    assert story.letters == [("eve-1", "no such user")]


def test_after_a_rejection_its_user_goes_on_when_that_is_written_down() -> None:
    story = Story()
    story.read("ann+1", "ann-2")
    story.sends()
    story.hears(Outcome(Verdict.REJECTED, "malformed"))
    assert story.sends() == ""
    story.keeps()
    assert story.sends() == "ann-2"


def test_too_large_a_batch_is_halved_and_alone_given_up() -> None:
    story = Story(Capacity(messages=4, requests=1))
    story.read("a+1", "b+1", "c+1", "d+1")
    assert story.sends() == "a-1 b-1 c-1 d-1"
    large = Outcome(Verdict.TOO_LARGE, "413")
    story.hears(large)
    assert story.sends() == "a-1 b-1"
    story.hears(large)
    assert story.sends() == "a-1"
    story.hears(large)
    assert story.sends() == "b-1"
    story.hears(ACCEPTED)
    assert story.sends() == "c-1 d-1"
    story.hears(ACCEPTED)
    story.keeps()
    assert story.letters == [("a-1", "413")]


def test_told_to_wait_the_whole_lane_does_but_no_longer_than_an_hour() -> None:
    story = Story()
    story.read("ann+1", "ben+1")
    story.sends()
    story.hears(Outcome(Verdict.RETRY, "429", 30 * SECOND))
    assert story.sends() == ""
    assert story.waits() == 30
    assert story.sends() == "ann-1"
    story.hears(Outcome(Verdict.RETRY, "429", 100 * HOUR))
    assert story.waits() == 3_600
    assert story.sends() == "ben-1"


def test_five_failures_open_the_circuit_and_one_success_closes_it() -> None:
    story = Story(Capacity(requests=2))
    story.read(*(f"u{number}+1" for number in range(8)))
    for number in range(5):
        assert story.sends() == f"u{number}-1"
        story.hears(RETRY)
    assert story.lane.state.status == "open"
    assert not story.lane.wants_journal
    assert story.sends() == ""
    assert story.waits() == 1
    assert story.sends() == "u5-1", "what has not failed yet"
    probe = story.last
    assert story.sends() == "", "one request finds out"
    story.last = probe
    story.hears(RETRY)
    assert story.waits() == 2
    assert story.sends() == "u6-1"
    story.hears(ACCEPTED)
    assert story.lane.state.status == "running"
    assert story.lane.news == [
        "sync 's' fails: no answer; nothing is lost, and it is tried again",
        "sync 's' works again",
    ]
    for number in (0, 1, 2, 3, 4, 5, 7):
        assert story.sends() == f"u{number}-1"
        story.hears(ACCEPTED)
    assert story.lane.state.retried == 6


def test_one_message_that_is_never_taken_opens_nothing() -> None:
    story = Story()
    story.read("bad+1")
    for _ in range(9):
        assert story.sends() == "bad-1"
        story.hears(RETRY)
        story.waits()
    story.read("ann+1")
    assert story.lane.state.status == "running"
    assert story.sends() == "bad-1"
    story.hears(RETRY)
    assert story.sends() == "ann-1"


def test_a_destination_that_is_down_is_noticed_though_one_request_has_all_that_may_wait() -> None:
    story = Story(Capacity(messages=PARKED, requests=1))
    story.read(*(f"u{number}+1" for number in range(PARKED)))
    for _ in range(5):
        assert not story.lane.news
        assert len(story.sends().split()) == PARKED
        story.hears(RETRY)
        assert not story.lane.wants_journal
        story.waits()
    assert story.lane.state.status == "open"
    assert story.lane.news == ["sync 's' fails: no answer; nothing is lost, and it is tried again"]
    assert story.sends() == "u0-1"
    story.hears(ACCEPTED)
    assert story.lane.news[1:] == ["sync 's' works again"]
    assert len(story.sends().split()) == PARKED - 1, "nobody waits any longer"


def test_a_long_outage_is_probed_with_one_message_at_a_time_and_takes_no_more_memory() -> None:
    count = 50
    story = Story(Capacity(messages=count, requests=1))
    story.read(*(f"u{number}+1" for number in range(count)))
    tried = Counter[str]()
    for number in range(5 + 10 * count):
        batch = story.sends().split()
        assert len(batch) == (count if number < 5 else 1)
        tried.update(batch)
        story.hears(RETRY)
        story.waits()
    assert max(tried.values()) - min(tried.values()) <= 1, "each in its turn"
    queues = story.lane._queues
    assert len(queues._ready) + len(queues._later) <= 2 * count
    story.sends()
    story.hears(ACCEPTED)
    assert len(story.sends().split()) == count - 1


def test_what_is_initial_is_asked_with_when_its_rate_allows_for_it() -> None:
    queues = Queues()
    for number in range(3):
        one = message(f"u{number}", 1)
        queues.add(Item(one, Who(one.user_id, 1), number, is_initial=number < 2))
    live = queues.take_least_tried(NOW, initial_at=NOW + SECOND)
    assert live is not None
    assert live.message.id == "u2-1"
    assert queues.take_least_tried(NOW, initial_at=NOW + SECOND) is None
    assert queues.due(NOW) == NOW + SECOND
    initial = queues.take_least_tried(NOW + SECOND, initial_at=NOW + SECOND)
    assert initial is not None
    assert initial.message.id == "u0-1"


def test_it_is_given_up_after_three_days_and_ten_attempts() -> None:
    story = Story()
    story.read("bad+1", "bad-2")
    while story.lane.parked or not story.letters:
        assert story.sends() == "bad-1"
        story.hears(RETRY)
        story.keeps()
        if story.letters:
            break
        story.waits()
    ((_, reason),) = story.letters
    assert reason.startswith("given up after 8")
    assert reason.endswith("attempts in 72 h: no answer")
    assert story.sends() == "bad-2"


def test_few_attempts_are_not_enough_however_long_it_takes() -> None:
    story = Story()
    story.read("bad+1")
    for _ in range(9):
        story.sends()
        story.hears(RETRY)
        story.now += 20 * HOUR
    story.keeps()
    assert story.letters == []
    story.sends()
    story.hears(RETRY)
    story.keeps()
    assert [reason for _, reason in story.letters] == [
        "given up after 10 attempts in 180 h: no answer"
    ]


def test_refused_credentials_pause_and_are_tried_with_one_message_every_five_minutes() -> None:
    story = Story(Capacity(messages=2, requests=3))
    story.read("a+1", "b+1", "c+1")
    assert story.sends() == "a-1 b-1"
    story.hears(Outcome(Verdict.REFUSED, "401"))
    kept = story.keeps()
    assert (kept.state.status, kept.state.reason, kept.cursor) == (SyncStatus.PAUSED, "401", 0)
    again = Story(Capacity(messages=2, requests=3), state=kept.state)
    again.read("a+1", "b+1", "c+1")
    for _ in range(3):
        assert again.sends() == "a-1"
        again.hears(Outcome(Verdict.REFUSED, "401"))
        assert again.sends() == ""
        assert again.waits() == 300
    assert again.sends() == "a-1"
    again.hears(ACCEPTED)
    assert again.sends() == "b-1 c-1"


def test_a_destination_that_is_gone_disables_until_it_is_resumed() -> None:
    story = Story()
    story.read("a+1", "b+1")
    story.sends()
    story.hears(Outcome(Verdict.GONE, "410"))
    assert story.lane.due(story.now) is None
    again = Story(state=story.keeps().state)
    again.read("a+1", "b+1")
    assert not again.lane.wants_journal
    assert again.sends() == ""
    again.lane.resume(again.now)
    assert again.sends() == "a-1"


def test_several_windows_hold_at_once() -> None:
    story = Story(Capacity(requests=9, windows=(Window(2, 1.0), Window(3, 10.0))))
    story.read("a+1", "b+1", "c+1", "d+1")
    assert [story.sends() for _ in range(3)] == ["a-1", "b-1", ""]
    assert story.waits() == 1
    assert [story.sends() for _ in range(2)] == ["c-1", ""]
    assert story.waits() == 9
    assert story.sends() == "d-1"


@pytest.mark.parametrize("is_killed", [True, False])
def test_limits_hold_over_a_restart(is_killed: bool) -> None:
    capacity = Capacity(requests=9, windows=(Window(2, 1.0), Window(3, 10.0)))
    first, second = Story(capacity), Story(capacity)
    first.read("a+1")
    assert first.sends() == "a-1"
    second.lane.go_on(None if is_killed else first.lane.sent, NOW)
    second.read("b+1", "c+1", "d+1", "e+1")
    # Of a lane that was killed nobody knows that it has sent one alone.
    if is_killed:
        assert second.sends() == ""
        assert second.waits() == 10
        assert [second.sends() for _ in range(3)] == ["b-1", "c-1", ""]
        return
    assert [second.sends() for _ in range(2)] == ["b-1", ""]
    assert second.waits() == 1
    assert [second.sends() for _ in range(2)] == ["c-1", ""]
    assert second.waits() == 9


def test_limits_that_became_narrower_count_what_was_sent_before() -> None:
    wide = Story(Capacity(requests=9, windows=(Window(5, 10.0),)))
    wide.read(*(f"u{number}+1" for number in range(5)))
    assert all(wide.sends() for _ in range(5))
    narrow = Story(Capacity(requests=9, windows=(Window(2, 10.0),)))
    narrow.lane.go_on(wide.lane.sent, NOW)
    narrow.read("a+1")
    assert narrow.sends() == ""
    assert narrow.waits() == 10
    assert narrow.sends() == "a-1"


def test_what_is_initial_has_a_rate_of_its_own_and_live_ones_pass_it() -> None:
    lane = Lane("s", Capacity(messages=5, requests=9), Remembered(0), initial_rate=2)
    story = Story()
    story.lane = lane
    old = [Entry(at, message(f"old{at}", 1), is_initial=True) for at in range(1, 6)]
    lane.read([*old, Entry(6, message("live", 1))], 6, NOW)
    assert story.sends() == "live-1 old1-1 old2-1"
    assert story.sends() == ""
    assert story.waits() == 1
    assert story.sends() == "old3-1 old4-1"


def test_when_too_many_wait_the_lane_reads_no_further() -> None:
    story = Story(Capacity(requests=1))
    fill: Callable[[int], None] = lambda at: story.read(f"u{at}+1")  # noqa: E731
    at = 0
    while story.lane.wants_journal:
        at += 1
        fill(at)
        if story.sends():
            story.hears(RETRY if at % 2 else ACCEPTED)
    assert story.lane.parked == PARKED


def _everybody(position: int, *, again: bool) -> Population:
    return Population(position, "v1", NOW, again=again)


def test_all_members_are_sent_again_to_the_last_also_who_waited_at_the_start() -> None:
    story = Story()
    story.read("ann+1", "ben+1")
    for _ in range(2):
        story.sends()
        story.hears(RETRY)
    again = Story()
    again.lane = Lane("s", Capacity(requests=1), story.stopped())
    again.now = again.lane.due(NOW) or NOW
    assert again.sends() == "ann-1"
    again.hears(ACCEPTED)
    again.lane.populate(_everybody(2, again=True))
    again.read_members("ann", "ben", "eve")
    assert sorted(again.sends_all()) == ["ann-1", "ben-1", "eve-1"], (
        "ben, who still waits, is sent once"
    )
    assert again.keeps().population.is_complete


def test_who_waits_is_not_taken_again_by_the_first_population_but_by_the_next() -> None:
    story = Story(Capacity(requests=2), population=_everybody(0, again=False))
    story.read_members("ann", "ben", "eve", last=False)
    assert story.sends() == "ann-1"
    story.hears(RETRY)
    assert [story.sends(), story.sends()] == ["ben-1", "eve-1"]
    story.hears(RETRY)
    again = Story()
    again.lane = Lane("s", Capacity(requests=1), story.stopped())
    again.now = NOW + 10 * SECOND
    assert sorted(again.sends_all()) == ["ann-1", "eve-1"]
    # What became of ben nobody knows, so the members are read again from him on.
    population = again.lane.population
    assert population is not None
    assert population.after == "ann"
    again.read_members("ben", "eve")
    assert again.sends_all() == ["ben-1"]
    again.lane.populate(_everybody(0, again=True))
    again.read_members("ann", "ben", "eve")
    assert again.sends_all() == ["ann-1", "ben-1", "eve-1"]


def test_what_no_message_can_be_made_of_is_a_dead_letter() -> None:
    story = Story()
    record = message("ann", 1).record
    story.lane.read([Entry(1, Unsendable(record, "properties.plan is missing"))], 1, NOW)
    story.read("ann-2")
    story.keeps()
    assert story.letters == [("ann-1", "properties.plan is missing")]
    assert story.sends() == "ann-2"
    assert story.lane.cursor == 1


def test_a_pause_outlives_a_restart_and_an_open_circuit_does_not() -> None:
    state = SyncState(status=SyncStatus.OPEN, reason="no answer")
    story = Story(state=state)
    story.read("a+1")
    assert story.sends() == "a-1"


def test_what_cannot_be_written_down_comes_with_the_next_changes() -> None:
    story = Story()
    story.read("a+1", "b+1", "c+1")
    story.sends()
    story.hears(RETRY)
    first = story.lane.changes()
    story.sends()
    story.hears(Outcome(Verdict.REJECTED, "no"))
    story.lane.unsaved()
    second = story.keeps()
    assert first is not None
    assert list(second.waiting) == list(first.waiting)
    assert len(second.attempts) == 2
    assert story.letters == [("b-1", "no")]
