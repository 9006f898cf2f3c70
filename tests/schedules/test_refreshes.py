"""When pulls are tried: once for all that were missed, spread, and again after they have failed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.definitions import ModelSource, ParentModel, PullSchedule
from schedules.pulls import next_pull
from schedules.refreshes import due_at, is_stale, next_attempt, pause, settled_at
from warehouse.history import Extent, Pull, Status, Trigger

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
AT = 1_772_323_200_000_000  # 2026-03-01T00:00:00Z

MODEL = ParentModel("users", ModelSource(table="users"), "id", PullSchedule(every=4 * HOUR), {})


def pull(at: int, status: Status = Status.SUCCEEDED, extent: Extent = Extent.FULL) -> Pull:
    return Pull(
        version="v",
        pull_date=at,
        trigger=Trigger.SCHEDULED,
        extent=extent,
        status=status,
        duration=SECOND,
    )


instants = st.integers(AT, AT + 1000 * DAY)


@given(instants, st.text(min_size=1, max_size=5))
def test_it_is_due_within_a_minute_of_the_schedule(settled: int, key: str) -> None:
    model = replace(MODEL, key=key)
    due = due_at(model, settled)
    assert next_pull(model.pull, settled) <= due < next_pull(model.pull, settled) + MINUTE
    assert due == due_at(model, settled)


@given(instants, st.integers(0, 100 * DAY))
def test_missed_runs_are_made_up_for_by_one(settled: int, down: int) -> None:
    """What was due while nobody looked is due at once, and then again as the schedule says."""
    now = settled + down
    if next_attempt(MODEL, settled, [], now) <= now:
        assert next_attempt(MODEL, now, [pull(now)], now) > now


def test_models_that_are_due_together_are_spread() -> None:
    models = [replace(MODEL, key=f"m{number}") for number in range(50)]
    assert len({due_at(model, AT) // SECOND for model in models}) > 20


def test_pauses_grow_up_to_a_quarter_of_an_hour() -> None:
    pauses = [pause(failures) for failures in range(1, 12)]
    assert pauses[:4] == [5 * SECOND, 10 * SECOND, 20 * SECOND, 40 * SECOND]
    assert pauses == sorted(pauses)
    assert pause(10**6) == 15 * MINUTE


def test_failures_are_tried_again_and_forgotten_with_the_next_success() -> None:
    failed = [pull(AT + 5 * HOUR + n, Status.FAILED) for n in range(3)]
    settled, now = AT, AT + 5 * HOUR + SECOND
    assert next_attempt(MODEL, settled, failed, now) == failed[-1].ended_at + pause(3)
    # Before it is due, nothing is tried because something else has failed.
    early = [pull(AT + 1, Status.FAILED)]
    assert next_attempt(MODEL, settled, early, AT + HOUR) == due_at(MODEL, settled)
    done = pull(AT + 6 * HOUR)
    settled, now = done.pull_date, AT + 7 * HOUR
    assert next_attempt(MODEL, settled, [*failed, done], now) == due_at(MODEL, settled)


@pytest.mark.parametrize("ahead", [HOUR, 365 * DAY])
def test_what_happened_while_the_clock_was_ahead_keeps_no_pull_waiting(ahead: int) -> None:
    read_at, now = AT + ahead, AT
    assert is_stale(MODEL, read_at, now)
    assert next_attempt(MODEL, read_at, [pull(read_at)], now) == now
    failed = [pull(read_at + n, Status.FAILED) for n in range(3)]
    assert next_attempt(MODEL, AT - DAY, failed, now) == now
    # Other machines' clocks may be a little ahead.
    assert not is_stale(MODEL, AT + SECOND, now)
    assert next_attempt(MODEL, AT + SECOND, [pull(AT + SECOND)], now) > now


def test_the_schedule_does_not_undo_a_return_to_the_version_before() -> None:
    back = pull(AT + DAY, extent=Extent.ROLLBACK)
    assert settled_at(AT, [pull(AT), back]) == AT + DAY
    assert settled_at(AT, [pull(AT), pull(AT + DAY, Status.FAILED, Extent.ROLLBACK)]) == AT
    newer = pull(AT + 2 * DAY)
    assert settled_at(newer.pull_date, [pull(AT), back, newer]) == AT + 2 * DAY


def test_stale_is_what_is_older_than_the_schedule_allows() -> None:
    assert not is_stale(MODEL, AT, AT + 4 * HOUR)
    assert is_stale(MODEL, AT, AT + 4 * HOUR + 6 * MINUTE)
