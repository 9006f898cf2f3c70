"""Instants as texts and numbers of any common form, and back.

Inside, an instant is an integer count of microseconds since 1970-01-01T00:00:00Z.  Here is the one
place that says which outside forms are understood:

- ISO 8601 with any precision and zone: `2026-03-01`, `2026-03-01T10:00:00.123456789+01:00`,
  `20260301T100000Z`, `2026-03-01 10:00:00 UTC`.  Without a zone, UTC is meant.
- Epoch numbers, or the same as text; the magnitude tells the unit: below 1e11 seconds, below 1e14
  milliseconds, else microseconds.  Whatever is finer than a microsecond is cut off.

Floats never take part in the arithmetic: sums of them would move an instant by a microsecond.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  UTC, as everything here
_EPOCH_DAY = date(1970, 1, 1).toordinal()

# The instants that a calendar with four-digit years can show.
EARLIEST = (1 - _EPOCH_DAY) * 86_400 * SECOND
LATEST = (date.max.toordinal() + 1 - _EPOCH_DAY) * 86_400 * SECOND - 1

_ISO = re.compile(
    r"""(?P<year>[0-9]{4}) (?P<dash>-?) (?P<month>[0-9]{2}) (?P=dash) (?P<day>[0-9]{2})
        (?: [Tt\ ]
            (?P<hour>[0-9]{2}) (?: :? (?P<minute>[0-9]{2}) (?: :? (?P<second>[0-9]{2})
            (?: [.,] (?P<fraction>[0-9]+) )? )? )?
            \ ? (?P<zone> [Zz] | UTC
                | (?P<sign>[+-]) (?P<zone_hour>[0-9]{2}) (?: :? (?P<zone_minute>[0-9]{2}) )? )?
        )?""",
    re.VERBOSE,
)

# Three digits of exponent are ample, and keep hostile ones from becoming huge integers.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST = 64

# Instants: the records of a request, and those read one after the other, share most of theirs.
_REMEMBERED = 256


def read_instant(raw: object) -> int | None:
    """The instant that a decoded JSON value denotes, or `None` if it denotes none."""
    if isinstance(raw, str):
        text = raw.strip()
        if len(text) > _LONGEST:
            return None
        if _NUMBER.fullmatch(text):
            return _from_epoch(Fraction(text))
        return _from_iso(text)
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return _from_epoch(Fraction(raw))
    if isinstance(raw, float) and abs(raw) <= LATEST:
        # The shortest text that reads as this float is what the record had.
        return _from_epoch(Fraction(repr(raw)))
    return None


@lru_cache(_REMEMBERED)
def format_instant(instant: int) -> str:
    """`2026-03-01T10:00:00.000000Z`: always UTC, always six decimals.

    Raises:
        OverflowError: the instant lies outside the years 1 to 9999.
    """
    return (_EPOCH + timedelta(microseconds=instant)).isoformat(timespec="microseconds") + "Z"


def _from_epoch(number: Fraction) -> int | None:
    magnitude = abs(number)
    unit = 1_000_000 if magnitude < 10**11 else 1_000 if magnitude < 10**14 else 1
    return _within_calendar(math.floor(number * unit))


@lru_cache(_REMEMBERED)
def _from_iso(text: str) -> int | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, zone_hour, zone_minute = (
        int(part or 0)
        for part in match.group(
            "year", "month", "day", "hour", "minute", "second", "zone_hour", "zone_minute"
        )
    )
    ends_a_day = hour == 24 and minute == second == 0
    # Second 60 is a leap second: it reads as the first of the next minute, as POSIX has it.
    if not (hour < 24 or ends_a_day) or minute > 59 or second > 60:
        return None
    if zone_hour > 23 or zone_minute > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    offset = (zone_hour * 60 + zone_minute) * (-60 if match["sign"] == "-" else 60)
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset
    fraction = int(((match["fraction"] or "") + "000000")[:6])
    return _within_calendar(seconds * SECOND + fraction)


def _within_calendar(instant: int) -> int | None:
    return instant if EARLIEST <= instant <= LATEST else None
