"""Durations as people write them: `90s`, `10m`, `24h`, `10 minutes`, `1 day`."""

from __future__ import annotations

import re

from audience_dsl.instants import EARLIEST, LATEST, SECOND

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), SECOND),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), HOUR),
    **dict.fromkeys(("d", "day", "days"), DAY),
    **dict.fromkeys(("w", "week", "weeks"), 7 * DAY),
}
PATTERN = r"[0-9]{1,9} ?(" + "|".join(sorted(_UNITS, key=len, reverse=True)) + ")"
_DURATION = re.compile(r"([0-9]{1,9}) ?([a-z]+)")


def read_duration(text: str) -> int | None:
    """Microseconds, or `None` if the text is no duration; one number and one unit.

    What is longer than all of the calendar is none: it would leave 64 bits.
    """
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        return None
    duration = int(match[1]) * _UNITS[match[2]]
    return duration if duration <= LATEST - EARLIEST else None


def format_duration(duration: int) -> str:
    """The shortest exact form that `read_duration` reads; a day is `24h`, as windows have it."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if duration % size == 0 and (unit != "d" or duration != DAY):
            return f"{duration // size}{unit}"
    return f"{duration // SECOND}s"
