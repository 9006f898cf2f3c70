"""The scanner: finds the wanted values in lines of JSON without decoding the rest.

It knows the whole grammar of JSON (RFC 8259), and takes a line only if that is beyond doubt one
sound object in which each wanted value is where it belongs.  All else (broken or lenient JSON,
keys with escapes, a container twice) it refuses, without saying why: such lines
are decoded in the slow way, which has the last word.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from connectors.sources.shape import Places, slot_of
from connectors.sources.tokens import ESCAPED, MISSING, NUMBER, OTHER, TEXT, Kinds
from engine.compiled import kernel
from engine.plan import Booleans, Bytes, Int64s
from engine.words import at, lowest_bit

DEPTH = 64  # of containers; deeper lines are refused

_BACKSLASH, _QUOTE, _COMMA, _COLON = 0x5C, 0x22, 0x2C, 0x3A
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY, _CLOSE_ARRAY = 0x7B, 0x7D, 0x5B, 0x5D
_MINUS, _PLUS, _DOT, _ZERO, _NINE, _SMALL_E, _BIG_E = 0x2D, 0x2B, 0x2E, 0x30, 0x39, 0x65, 0x45

# What the next byte may begin.
_FIRST_KEY, _KEY, _FIRST_ELEMENT, _VALUE, _AFTER_VALUE = range(5)


def scan(
    data: Bytes,
    starts: Int64s,
    ends: Int64s,
    places: Places,
    kinds: Kinds,
    begins: Int64s,
    finishes: Int64s,
    taken: Booleans,
) -> None:
    """Write where the wanted values of each line are, and which lines were taken.

    Each line `data[starts[i]:ends[i]]` is followed by a byte that no JSON goes on with (a newline,
    or the space before one).  `kinds`, `begins` and `finishes` have the shape (columns, lines), and
    `kinds` is all `MISSING`; what a line that is not taken has written there means nothing.
    """
    scan_all(
        data,
        _marks(data),
        starts,
        ends,
        *places,
        kinds,
        begins,
        finishes,
        taken,
        np.empty((4, DEPTH), dtype=np.int64),
        np.zeros(places.columns.size, dtype=np.int64),
    )


def _marks(data: Bytes) -> npt.NDArray[np.uint32]:
    """A bit for each byte that is a quote, a backslash or a control: 32 bytes a word.

    Texts make up most of a record.  Vector instructions find the marks, and with these a text is
    passed over at 32 bytes a step instead of one.
    """
    is_marked = np.empty((data.size + 63) // 32 * 32, dtype=np.bool_)
    is_marked[data.size :] = True
    mark(data, is_marked)
    return np.packbits(is_marked, bitorder="little").view(np.uint32)


@kernel
def mark(data, is_marked):  # type: ignore[no-untyped-def]
    for i in range(data.size):
        is_marked[i] = (data[i] == _QUOTE) | (data[i] == _BACKSLASH) | (data[i] < 0x20)


@kernel
def scan_all(  # type: ignore[no-untyped-def]
    data,
    marks,
    starts,
    ends,
    columns,
    firsts,
    key_starts,
    key_bytes,
    indexes,
    targets,
    slots,
    following,
    kinds,
    begins,
    finishes,
    taken,
    stack,
    met,
):
    # Of each open container: its place or -1, the index of its current element (-1 for objects),
    # and the column that wants it whole, or -1, with the byte at which it began.
    container, element, whole, opened = stack[0], stack[1], stack[2], stack[3]
    for line in range(starts.size):
        p = starts[line]
        taken[line] = False
        if at(data, p) != _OPEN_OBJECT:
            continue
        depth = 0
        container[0], element[0], whole[0] = 0, -1, -1
        place = -1
        expected = _FIRST_KEY
        p += 1
        while depth >= 0:
            p = _after_spaces(data, p)
            byte = at(data, p)

            if expected == _AFTER_VALUE:
                inside_object = element[depth] < 0
                if byte == _COMMA:
                    p = _after_spaces(data, p + 1)
                    byte = at(data, p)
                    expected = _KEY if inside_object else _VALUE
                    if not inside_object:
                        element[depth] += 1
                        place = _element_place(
                            container[depth], element[depth], firsts, indexes, targets
                        )
                elif byte == (_CLOSE_OBJECT if inside_object else _CLOSE_ARRAY):
                    p += 1
                    if whole[depth] >= 0:
                        kinds[whole[depth], line] = OTHER
                        begins[whole[depth], line] = opened[depth]
                        finishes[whole[depth], line] = p
                    depth -= 1
                    continue
                else:
                    break
            elif (expected == _FIRST_KEY and byte == _CLOSE_OBJECT) or (
                expected == _FIRST_ELEMENT and byte == _CLOSE_ARRAY
            ):
                expected = _AFTER_VALUE
                continue

            if expected in (_FIRST_KEY, _KEY):
                if byte != _QUOTE:
                    break
                begin = p + 1
                p = _plain_end(marks, begin)
                if at(data, p) == _BACKSLASH and container[depth] < 0:
                    p = _text_end(data, marks, p)
                if at(data, p) != _QUOTE:
                    break
                place = -1
                if container[depth] >= 0:
                    place = _key_place(
                        container[depth],
                        data,
                        begin,
                        p,
                        key_starts,
                        key_bytes,
                        targets,
                        slots,
                        following,
                    )
                    if place < -1:
                        break
                p = _after_spaces(data, p + 1)
                if at(data, p) != _COLON:
                    break
                p = _after_spaces(data, p + 1)
                byte = at(data, p)

            column = -1
            has_entries = False
            if place >= 0:
                column = columns[place]
                has_entries = firsts[place] < firsts[place + 1]
                if has_entries:
                    # Values would be left over from a container that comes once more.
                    if met[place] == line + 1:
                        break
                    met[place] = line + 1
            begin = p
            expected = _AFTER_VALUE
            kind = MISSING
            if byte == _QUOTE:
                begin += 1
                p = _plain_end(marks, begin)
                kind = TEXT
                if at(data, p) == _BACKSLASH:
                    kind = ESCAPED
                    p = _text_end(data, marks, p)
                if at(data, p) != _QUOTE or (column >= 0 and not _is_utf8(data, begin, p)):
                    break
                if column >= 0:
                    kinds[column, line] = kind
                    begins[column, line] = begin
                    finishes[column, line] = p
                p += 1
                continue
            if byte in (_OPEN_OBJECT, _OPEN_ARRAY):
                depth += 1
                if depth == DEPTH:
                    break
                p += 1
                opens_array = byte == _OPEN_ARRAY
                container[depth] = place if has_entries else -1
                whole[depth] = column
                opened[depth] = begin
                if opens_array:
                    expected = _FIRST_ELEMENT
                    element[depth] = 0
                    place = _element_place(container[depth], 0, firsts, indexes, targets)
                else:
                    expected = _FIRST_KEY
                    element[depth] = -1
                continue
            if byte == _MINUS or _ZERO <= byte <= _NINE:
                p = _number_end(data, p)
                if p < 0:
                    break
                kind = NUMBER
            elif byte == 0x74 and at(data, p + 1) == 0x72 and at(data, p + 2) == 0x75:  # tru
                if at(data, p + 3) != 0x65:
                    break
                p += 4
                kind = OTHER
            elif byte == 0x66 and at(data, p + 1) == 0x61 and at(data, p + 2) == 0x6C:  # fal
                if at(data, p + 3) != 0x73 or at(data, p + 4) != 0x65:
                    break
                p += 5
                kind = OTHER
            elif byte == 0x6E and at(data, p + 1) == 0x75 and at(data, p + 2) == 0x6C:  # nul
                if at(data, p + 3) != 0x6C:
                    break
                p += 4
            else:
                break
            if column >= 0:
                kinds[column, line] = kind
                begins[column, line] = begin
                finishes[column, line] = p
        taken[line] = depth < 0 and p == ends[line]


@kernel
def _after_spaces(data, p):  # type: ignore[no-untyped-def]
    while at(data, p) <= 0x20 and (
        at(data, p) == 0x20 or at(data, p) == 0x09 or at(data, p) == 0x0D
    ):
        p += 1
    return p


@kernel
def _plain_end(marks, p):  # type: ignore[no-untyped-def]
    """The first byte from `p` on that does not simply belong to the text: the next mark."""
    word = p >> 5
    left = at(marks, word) >> np.uint32(p & 31)
    if left == 0:
        word += 1
        while at(marks, word) == 0:
            word += 1
        left = at(marks, word)
        p = word << 5
    return p + lowest_bit(left)


@kernel
def _text_end(data, marks, p):  # type: ignore[no-untyped-def]
    """The same with sound escapes passed over; an unsound one is where it stops."""
    while at(data, p) == _BACKSLASH:
        escape = at(data, p + 1)
        if escape == 0x75:  # \uXXXX
            for digit in range(p + 2, p + 6):
                low = at(data, digit) | 0x20
                if not (_ZERO <= at(data, digit) <= _NINE or 0x61 <= low <= 0x66):
                    return p
            p += 6
        elif escape in (_QUOTE, _BACKSLASH, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74):  # "\/bfnrt
            p += 2
        else:
            return p
        p = _plain_end(marks, p)
    return p


@kernel
def _number_end(data, p):  # type: ignore[no-untyped-def]
    """Where the number at `p` ends, -1 if it is none."""
    if at(data, p) == _MINUS:
        p += 1
    first = p
    p = _digits_end(data, p)
    if p == first or (at(data, first) == _ZERO and p - first > 1):
        return -1
    if at(data, p) == _DOT:
        first = p + 1
        p = _digits_end(data, first)
        if p == first:
            return -1
    if at(data, p) == _SMALL_E or at(data, p) == _BIG_E:
        p += 1
        if at(data, p) == _PLUS or at(data, p) == _MINUS:
            p += 1
        first = p
        p = _digits_end(data, first)
        if p == first:
            return -1
    return p


@kernel
def _digits_end(data, p):  # type: ignore[no-untyped-def]
    while _ZERO <= at(data, p) <= _NINE:
        p += 1
    return p


@kernel
def _is_utf8(data, begin, end):  # type: ignore[no-untyped-def]
    """Whether the bytes are sound UTF-8 (the Unicode Standard, table 3-7)."""
    p = begin
    while p + 8 <= end:
        first = at(data, p) | at(data, p + 1) | at(data, p + 2) | at(data, p + 3)
        if (first | at(data, p + 4) | at(data, p + 5) | at(data, p + 6) | at(data, p + 7)) >= 0x80:
            break
        p += 8
    while p < end:
        byte = at(data, p)
        p += 1
        if byte < 0x80:
            continue
        if byte < 0xC2 or byte > 0xF4:
            return False
        more = 1 + (byte >= 0xE0) + (byte >= 0xF0)
        if p + more > end:
            return False
        lowest = 0xA0 if byte == 0xE0 else 0x90 if byte == 0xF0 else 0x80
        highest = 0x9F if byte == 0xED else 0x8F if byte == 0xF4 else 0xBF
        if at(data, p) < lowest or at(data, p) > highest:
            return False
        for following in range(p + 1, p + more):
            if at(data, following) < 0x80 or at(data, following) > 0xBF:
                return False
        p += more
    return True


@kernel
def _key_place(  # type: ignore[no-untyped-def]
    container, data, begin, end, key_starts, key_bytes, targets, slots, following
):
    """The place that a key of a container leads to, -1 if it is not wanted."""
    entry = slots[container, slot_of(data, begin, end)]
    while entry >= 0:
        start = key_starts[entry]
        if key_starts[entry + 1] - start == end - begin:
            same = True
            for i in range(end - begin):
                if at(key_bytes, start + i) != at(data, begin + i):
                    same = False
                    break
            if same:
                return targets[entry]
        entry = following[entry]
    return -1


@kernel
def _element_place(container, index, firsts, indexes, targets):  # type: ignore[no-untyped-def]
    """The place of an element of an array, -1 if it is not wanted."""
    if container >= 0:
        for entry in range(firsts[container], firsts[container + 1]):
            if indexes[entry] == index:
                return targets[entry]
    return -1
