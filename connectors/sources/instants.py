"""A column of instants, read at native speed where the texts have the common form.

`audience_dsl.instants` says what every form means; this kernel knows one, the ISO 8601 that all
collectors write (`2026-03-01T10:00:00.123Z`, also with a space, another precision, or an offset
such as +01:00), and leaves whatever is not exactly that to `read_instant`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audience_dsl.instants import read_instant
from engine.compiled import kernel
from engine.plan import Int64s

# Earlier than any instant: stands for "missing or unreadable".
NO_INSTANT = np.iinfo(np.int64).min

_MARK = "\0"


def read_instants(values: Sequence[object]) -> Int64s:
    """The instant of each value, `NO_INSTANT` where it denotes none."""
    try:
        joined = _MARK.join(values)  # type: ignore[arg-type]
    except TypeError:
        joined = _MARK.join([one if type(one) is str else "" for one in values])
    instants = np.full(len(values), NO_INSTANT, dtype=np.int64)
    found = parse_common(np.frombuffer(f"{joined}{_MARK}".encode(), dtype=np.uint8), instants)
    if found != len(values):  # a text has the mark in it
        instants[:] = NO_INSTANT
    for i in np.flatnonzero(instants == NO_INSTANT).tolist():
        instant = read_instant(values[i])
        if instant is not None:
            instants[i] = instant
    return instants


@kernel
def parse_common(data, instants):  # type: ignore[no-untyped-def]
    """Read texts that each end with a mark; return how many marks there are."""
    marks = 0
    start = 0
    for i in range(data.size):
        if data[i] == 0:
            if marks < instants.size:
                instants[marks] = _parse(data, start, i)
            marks += 1
            start = i + 1
    return marks


@kernel
def _parse(data, start, end):  # type: ignore[no-untyped-def]
    """The instant of a text of the common form, else `NO_INSTANT`."""
    unknown = -0x8000000000000000
    if end - start < 19:
        return unknown
    separator = data[start + 10]
    if (
        data[start + 4] != 45
        or data[start + 7] != 45
        or (separator != 84 and separator != 32)
        or data[start + 13] != 58
        or data[start + 16] != 58
    ):
        return unknown
    century = _pair(data, start)
    in_century = _pair(data, start + 2)
    month = _pair(data, start + 5)
    day = _pair(data, start + 8)
    hour = _pair(data, start + 11)
    minute = _pair(data, start + 14)
    second = _pair(data, start + 17)
    if min(century, in_century, month, day, hour, minute, second) < 0:
        return unknown
    year = century * 100 + in_century
    if year < 1000 or year > 9998 or month < 1 or month > 12 or day < 1:
        return unknown
    if hour > 23 or minute > 59 or second > 59:
        return unknown
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == 2:
        longest = 29 if leap else 28
    elif month == 4 or month == 6 or month == 9 or month == 11:
        longest = 30
    else:
        longest = 31
    if day > longest:
        return unknown
    position = start + 19
    fraction = 0
    if position < end and data[position] == 46:
        position += 1
        first = position
        unit = 100_000
        while position < end and 48 <= data[position] <= 57:
            fraction += unit * (int(data[position]) - 48)
            unit //= 10
            position += 1
        if position == first or position - first > 9:
            return unknown
    offset = 0
    if position + 1 == end and data[position] == 90:
        position += 1
    elif position + 6 == end and (data[position] == 43 or data[position] == 45):
        hours = _pair(data, position + 1)
        minutes = _pair(data, position + 4)
        if hours < 0 or hours > 23 or minutes < 0 or minutes > 59 or data[position + 3] != 58:
            return unknown
        offset = hours * 60 + minutes
        if data[position] == 45:
            offset = -offset
        position = end
    if position != end:
        return unknown
    seconds = (_days(year, month, day) * 24 + hour) * 3600 + (minute - offset) * 60 + second
    return seconds * 1_000_000 + fraction


@kernel
def _pair(data, position):  # type: ignore[no-untyped-def]
    """The number of two digits, negative if they are none."""
    tens = int(data[position]) - 48
    ones = int(data[position + 1]) - 48
    if tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return -1
    return tens * 10 + ones


@kernel
def _days(year, month, day):  # type: ignore[no-untyped-def]
    """Days since 1970-01-01 in the Gregorian calendar.

    Years begin in March here, so that the leap day is the last of its year, and months of 31 and
    30 days alternate in a pattern that one division yields.
    """
    shifted = year if month > 2 else year - 1
    from_march = (month + 9) % 12
    of_year = (153 * from_march + 2) // 5 + day - 1
    return shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 + of_year - 719_468
