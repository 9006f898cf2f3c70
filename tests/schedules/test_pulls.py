"""Scheduled pulls: on a grid, or by cron in a time zone, right across changes of the clock."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.definitions import PullSchedule
from audience_dsl.instants import format_instant, read_instant
from schedules.pulls import next_pull

HOUR = 3_600_000_000
BERLIN = "Europe/Berlin"


def pulls(schedule: PullSchedule, after: str, count: int) -> list[str]:
    """The next pulls, without their seconds."""
    instant = read_instant(after)
    assert instant is not None
    found = []
    for _ in range(count):
        instant = next_pull(schedule, instant)
        found.append(format_instant(instant)[:16])
    return found


def in_berlin(cron: str) -> PullSchedule:
    return PullSchedule(cron=cron, timezone=BERLIN)


def test_every_counts_from_midnight_utc() -> None:
    assert pulls(PullSchedule(every=6 * HOUR), "2026-03-01T05:59:59.999999Z", 3) == [
        "2026-03-01T06:00",
        "2026-03-01T12:00",
        "2026-03-01T18:00",
    ]


def test_the_next_pull_is_later_than_the_present_one() -> None:
    assert pulls(PullSchedule(every=24 * HOUR), "2026-03-01T00:00:00Z", 1) == ["2026-03-02T00:00"]
    assert pulls(in_berlin("0 9 * * *"), "2026-03-01T08:00:00Z", 1) == ["2026-03-02T08:00"]
    assert pulls(in_berlin("0 9 * * *"), "2026-03-01T07:59:59.999999Z", 1) == ["2026-03-01T08:00"]


def test_a_time_that_is_skipped_happens_at_the_change() -> None:
    assert pulls(in_berlin("30 2 * * *"), "2026-03-28T12:00:00Z", 2) == [
        "2026-03-29T01:00",
        "2026-03-30T00:30",
    ]


def test_a_time_that_is_shown_twice_happens_once() -> None:
    assert pulls(in_berlin("30 2 * * *"), "2026-10-24T12:00:00Z", 2) == [
        "2026-10-25T00:30",
        "2026-10-26T01:30",
    ]
    assert pulls(in_berlin("0 */2 * * *"), "2026-10-24T23:00:00Z", 3) == [
        "2026-10-25T00:00",
        "2026-10-25T03:00",
        "2026-10-25T05:00",
    ]


def test_two_times_that_meet_at_the_change_are_one_pull() -> None:
    assert pulls(in_berlin("0 2,3 * * *"), "2026-03-28T12:00:00Z", 2) == [
        "2026-03-29T01:00",
        "2026-03-30T00:00",
    ]


def test_every_hour_means_every_hour_that_passes() -> None:
    autumn = ["2026-10-24T23:15", "2026-10-25T00:15", "2026-10-25T01:15", "2026-10-25T02:15"]
    assert pulls(in_berlin("15 * * * *"), "2026-10-24T22:30:00Z", 4) == autumn
    spring = ["2026-03-29T00:15", "2026-03-29T01:15", "2026-03-29T02:15"]
    assert pulls(in_berlin("15 * * * *"), "2026-03-28T23:30:00Z", 3) == spring


def test_a_day_that_a_country_skipped() -> None:
    samoa = PullSchedule(cron="0 12 * * *", timezone="Pacific/Apia")
    assert pulls(samoa, "2011-12-29T12:00:00Z", 3) == [
        "2011-12-29T22:00",
        "2011-12-30T10:00",
        "2011-12-30T22:00",
    ]


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "61 * * * *", "whenever"])
def test_an_expression_that_never_occurs_is_an_error(cron: str) -> None:
    with pytest.raises(ValueError):
        next_pull(PullSchedule(cron=cron), 0)


def test_a_schedule_that_says_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs `every` or `cron`"):
        next_pull(PullSchedule(), 0)


CRONS = st.sampled_from(
    ["30 2 * * *", "0 */2 * * *", "*/20 1-3 * * *", "0 3 * * 0", "5 0,2 * * *", "*/7 * * * *"]
)
ZONES = st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata"])
YEAR_2026 = st.integers(1_767_225_600, 1_798_761_600).map(lambda second: second * 1_000_000)


@given(CRONS, ZONES, YEAR_2026, st.integers(0, 90_000_000_000))
def test_no_instant_lies_between_a_moment_and_its_next_pull(
    cron: str, zone: str, after: int, step: int
) -> None:
    """Asking earlier gives the same pull, or one that is not later than the moment."""
    schedule = PullSchedule(cron=cron, timezone=zone)
    pull = next_pull(schedule, after)
    assert pull > after
    assert next_pull(schedule, pull - 1) == pull
    earlier = next_pull(schedule, after - step)
    assert earlier == pull or earlier <= after


@given(st.sampled_from(["30 2 * * *", "17 1,2,3 * * *"]), ZONES)
def test_each_time_of_a_year_happens_once(cron: str, zone: str) -> None:
    schedule = PullSchedule(cron=cron, timezone=zone)
    instants = []
    instant = 1_767_225_600_000_000
    while instant < 1_767_225_600_000_000 + 365 * 24 * HOUR:
        instant = next_pull(schedule, instant)
        instants.append(instant)
    assert all(a < b for a, b in pairwise(instants))
    local = [
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=one)).astimezone(ZoneInfo(zone))
        for one in instants
    ]
    shown = [one.replace(tzinfo=None) for one in local]
    assert len(set(shown)) == len(shown)
