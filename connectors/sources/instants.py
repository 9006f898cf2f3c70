"""A column of instants, read at native speed where the texts have the common form.

`audience_dsl.instants` says what every form means; this kernel knows one, the ISO 8601 that all
collectors write (`2026-03-01T10:00:00.123Z`, also with a space, another precision, or an offset
such as +01:00), and leaves whatever is not exactly that to `read_instant`.
"""

from __future__ import annotations

import numpy as np

from audience_dsl.instants import read_instant
from connectors.sources.tokens import MISSING, TEXT, Tokens
from engine.compiled import kernel
from engine.plan import Int64s
from engine.words import at

# Earlier than any instant: stands for "missing or unreadable".
NO_INSTANT = np.iinfo(np.int64).min


def read_instants(tokens: Tokens) -> Int64s:
    """The instant of each value, `NO_INSTANT` where it denotes none."""
    instants = np.empty(tokens.size, dtype=np.int64)
    parse_common(*tokens, instants)
    for i in np.flatnonzero((instants == NO_INSTANT) & (tokens.kinds != MISSING)).tolist():
        instant = read_instant(tokens.value(i))
        if instant is not None:
            instants[i] = instant
    return instants


@kernel
def parse_common(data, kinds, begins, ends, instants):  # type: ignore[no-untyped-def]
    for i in range(instants.size):
        instants[i] = -0x8000000000000000
        if kinds[i] == TEXT:
            instants[i] = _parse(data, begins[i], ends[i])


@kernel
def _parse(data, start, end):  # type: ignore[no-untyped-def]
    """The instant of a text of the common form, else `NO_INSTANT`."""
    unknown = -0x8000000000000000
    if end - start < 19:
        return unknown
    separator = at(data, start + 10)
    if (
        at(data, start + 4) != 45
        or at(data, start + 7) != 45
        or (separator != 84 and separator != 32)
        or at(data, start + 13) != 58
        or at(data, start + 16) != 58
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
    if position < end and at(data, position) == 46:
        position += 1
        first = position
        unit = 100_000
        while position < end and 48 <= at(data, position) <= 57:
            fraction += unit * (int(at(data, position)) - 48)
            unit //= 10
            position += 1
        if position == first or position - first > 9:
            return unknown
    offset = 0
    if position + 1 == end and at(data, position) == 90:
        position += 1
    elif position + 6 == end and (at(data, position) == 43 or at(data, position) == 45):
        hours = _pair(data, position + 1)
        minutes = _pair(data, position + 4)
        if hours < 0 or hours > 23 or minutes < 0 or minutes > 59 or at(data, position + 3) != 58:
            return unknown
        offset = hours * 60 + minutes
        if at(data, position) == 45:
            offset = -offset
        position = end
    if position != end:
        return unknown
    seconds = (_days(year, month, day) * 24 + hour) * 3600 + (minute - offset) * 60 + second
    return seconds * 1_000_000 + fraction


@kernel
def _pair(data, position):  # type: ignore[no-untyped-def]
    """The number of two digits, negative if they are none."""
    tens = int(at(data, position)) - 48
    ones = int(at(data, position + 1)) - 48
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
