"""When a parent model is pulled next.

`every` counts from midnight UTC: `every: 6h` means 00:00, 06:00, 12:00 and 18:00, whenever the job
was started and however long a pull takes.

A cron expression is read in its time zone, by the wall clock, and each of its times happens
exactly once, also on the two nights a year when the clock changes:

- a time that the clock skips in spring happens at the moment of the change;
- a time that the clock shows twice in autumn happens the first time;
- but an expression for every hour means every hour that passes: none more in spring, and the
  repeated one too in autumn.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter  # type: ignore[import-untyped]

from audience_dsl.definitions import PullSchedule

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Wall clocks are moved by less than this, except where a country changes sides of the date line,
# and then forwards.
_LARGEST_CHANGE = timedelta(hours=3)


def next_pull(schedule: PullSchedule, after: int) -> int:
    """The first scheduled instant later than `after`; microseconds since 1970 UTC.

    Raises:
        ValueError: the schedule says neither `every` nor `cron`, or its expression never occurs.
        ZoneInfoNotFoundError: the time zone is unknown.
    """
    if schedule.every is not None:
        return (after // schedule.every + 1) * schedule.every
    if schedule.cron is None:
        raise ValueError("a pull schedule needs `every` or `cron`")
    moment = _EPOCH + after * _MICROSECOND
    found = _next_occurrence(schedule.cron, ZoneInfo(schedule.timezone), moment)
    return (found - _EPOCH) // _MICROSECOND


def _next_occurrence(cron: str, zone: ZoneInfo, after: datetime) -> datetime:
    """The instants of the wall clock's times never descend, so the first later one is the next.

    The second showings of an hour are such a sequence of their own.
    """
    every_hour = croniter.expand(cron)[0][1] == ["*"]
    around = after.astimezone(zone).replace(tzinfo=None)
    times = croniter(cron, around - _LARGEST_CHANGE)
    again = None
    while True:
        shown = times.get_next(datetime)
        once, second = _instant(shown, zone, fold=0), _instant(shown, zone, fold=1)
        if second > once and every_hour and second > after:
            again = min(again or second, second)
        if second < once:
            if every_hour:
                continue
            once = _change_between(second, once, zone)
        if once > after:
            return min(again or once, once)


def _instant(shown: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    return shown.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment, to the second, at which the zone's offset changes."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
