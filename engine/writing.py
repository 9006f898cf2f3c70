"""Kernels that write transition records: texts, numbers and instants as the bytes of JSON.

Each takes the place to write at and returns the place behind.  The caller has made sure that there
is room.
"""

from __future__ import annotations

import numpy as np

from engine.compiled import kernel
from engine.digests import BLOCK, DIGEST, Words, digest
from engine.plan import Bytes, Int8s, Int32s, Int64s
from engine.texts import Texts
from engine.transitions import EVENT_CAUSE, NO_CONDITION

ID_DIGITS = 2 * DIGEST
# Bytes that a record's sequence and instant take at most, with signs and what parts them.
LONGEST_NUMBERS = 64
# Bytes that one byte of a text becomes at most.
LONGEST_ESCAPE = 6

# What is the same in all records of a call, by its number.  A cause's own number is the phrase
# that it begins with.
CAUSES = 7
BEGINNING, BEFORE_INSTANT, BEFORE_SEQUENCE, BEFORE_CAUSE, AFTER_EVENT, END = range(
    CAUSES, CAUSES + 6
)

_DAY = 86_400_000_000
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_CONTROL = np.frombuffer(b"uuuuuuuubtnufruuuuuuuuuuuuuuuuuu", dtype=np.uint8)
_QUOTE, _BACKSLASH, _MINUS = 34, 92, 45
_COLON, _T, _Z, _POINT, _U = 58, 84, 90, 46, 117


@kernel
def write_ids(
    identities: Texts,
    users: Texts,
    audiences: Int32s,
    effective_at: Int64s,
    sequences: Int32s,
    message: Words,
    message_bytes: Bytes,
    chain: Words,
    ids: Bytes,
) -> None:
    """Fill the rows of `ids` with what `engine.records.transition_ids` gives, as ASCII.

    `message` has room for the longest text that is digested, in whole blocks; `message_bytes` is
    the same memory.  `chain` has eight words.
    """
    for row in range(audiences.size):
        place = _put(message_bytes, 0, identities, int(audiences[row]))
        place = _put_number(message_bytes, place, int(sequences[row]), 1)
        place = _put_byte(message_bytes, place, _COLON)
        place = _put_number(message_bytes, place, int(effective_at[row]), 1)
        place = _put_byte(message_bytes, place, _COLON)
        length = _put(message_bytes, place, users, row)
        for rest in range(length, (length + BLOCK - 1) // BLOCK * BLOCK):
            message_bytes[rest] = 0
        digest(message, length, chain)
        for digit in range(ID_DIGITS):
            word = chain[digit >> 4] >> np.uint64(8 * ((digit & 15) >> 1))
            shift = np.uint64(0 if digit & 1 else 4)
            ids[row, digit] = _DIGITS[int((word >> shift) & np.uint64(15))]


@kernel
def write_lines(
    heads: Texts,
    numbered: Texts,
    phrases: Texts,
    ids: Bytes,
    users: Texts,
    audiences: Int32s,
    effective_at: Int64s,
    sequences: Int32s,
    causes: Int8s,
    conditions: Int32s,
    message_ids: Texts,
    data: Bytes,
    starts: Int64s,
) -> None:
    """Write each transition as a line of `data`, and where each begins and the last ends.

    Args:
        heads: From the end of the id to the user: of each audience for exits, then for entries.
        numbered: The cause of a window that expired, for each condition; then that of each pull.
        phrases: What is the same in all lines, see above.
    """
    place = 0
    for row in range(audiences.size):
        starts[row] = place
        place = _put(data, place, phrases, BEGINNING)
        for digit in range(ID_DIGITS):
            data[place + digit] = ids[row, digit]
        place += ID_DIGITS
        place = _put(data, place, heads, 2 * int(audiences[row]) + (int(sequences[row]) & 1))
        place = _put_escaped(data, place, users, row)
        place = _put(data, place, phrases, BEFORE_INSTANT)
        place = _put_instant(data, place, int(effective_at[row]))
        place = _put(data, place, phrases, BEFORE_SEQUENCE)
        place = _put_number(data, place, int(sequences[row]), 1)
        place = _put(data, place, phrases, BEFORE_CAUSE)
        if conditions[row] != NO_CONDITION:
            place = _put(data, place, numbered, int(conditions[row]))
        else:
            place = _put(data, place, phrases, int(causes[row]))
            if causes[row] == EVENT_CAUSE:
                place = _put_escaped(data, place, message_ids, row)
                place = _put(data, place, phrases, AFTER_EVENT)
        place = _put(data, place, phrases, END)
    starts[audiences.size] = place


@kernel
def _put(data: Bytes, place: int, texts: Texts, i: int) -> int:
    """Unsigned places tell the compiler that no index counts from the end."""
    begin = np.uint64(texts.starts[i])
    length = int(texts.starts[i + 1] - texts.starts[i])
    target = np.uint64(place)
    for step in range(length):
        data[target + np.uint64(step)] = texts.data[begin + np.uint64(step)]
    return place + length


@kernel
def _put_byte(data: Bytes, place: int, byte: int) -> int:
    data[place] = byte
    return place + 1


@kernel
def _put_escaped(data: Bytes, place: int, texts: Texts, i: int) -> int:
    """The inside of a JSON string."""
    for position in range(int(texts.starts[i]), int(texts.starts[i + 1])):
        byte = texts.data[position]
        if byte >= 32 and byte != _QUOTE and byte != _BACKSLASH:
            data[place] = byte
            place += 1
            continue
        data[place] = _BACKSLASH
        if byte >= 32:
            data[place + 1] = byte
            place += 2
            continue
        data[place + 1] = _CONTROL[byte]
        place += 2
        if _CONTROL[byte] == _U:
            place = _put_number(data, place, 0, 2)
            data[place] = _DIGITS[byte >> 4]
            data[place + 1] = _DIGITS[byte & 15]
            place += 2
    return place


@kernel
def _put_number(data: Bytes, place: int, value: int, width: int) -> int:
    """Decimal digits, filled up with zeros to the width."""
    if value < 0:
        data[place] = _MINUS
        place += 1
    left = np.uint64(abs(value))  # division is faster without a sign
    digits = 1
    bound = np.uint64(10)
    while digits < width or left >= bound:
        digits += 1
        bound *= np.uint64(10)
    for position in range(place + digits - 1, place - 1, -1):
        quotient = left // np.uint64(10)
        data[position] = _DIGITS[left - quotient * np.uint64(10)]
        left = quotient
    return place + digits


@kernel
def _put_instant(data: Bytes, place: int, instant: int) -> int:
    """ISO 8601 in UTC with microseconds.

    The date is reckoned in years that begin in March, so that a leap day is a year's last
    (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    """
    days = instant // _DAY
    rest = instant - days * _DAY
    days += 719_468
    era = days // 146_097
    day = days - era * 146_097
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    year += 400 * era + month // 10
    month = month + 3 if month < 10 else month - 9
    seconds = rest // 1_000_000
    minutes = seconds // 60
    hours = minutes // 60

    place = _put_number(data, place, year, 4)
    place = _put_byte(data, place, _MINUS)
    place = _put_number(data, place, month, 2)
    place = _put_byte(data, place, _MINUS)
    place = _put_number(data, place, day + 1, 2)
    place = _put_byte(data, place, _T)
    place = _put_number(data, place, hours, 2)
    place = _put_byte(data, place, _COLON)
    place = _put_number(data, place, minutes - 60 * hours, 2)
    place = _put_byte(data, place, _COLON)
    place = _put_number(data, place, seconds - 60 * minutes, 2)
    place = _put_byte(data, place, _POINT)
    place = _put_number(data, place, rest - 1_000_000 * seconds, 6)
    return _put_byte(data, place, _Z)
