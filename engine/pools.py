"""Blocks of array cells, handed out and taken back.

Users have few cells each and the few grow and shrink, so every kind of cell lives in one pool of
parallel arrays, in blocks of 1, 2, 4, … cells.  A block that is given back heads the list of free
blocks of its size; its first cell links to the next one.  A pool's `book` holds the heads of
these lists, then the end of the part of the arrays that was ever used (`TOP`), then how many
cells are in use (`IN_USE`).

Kernels never enlarge an array: before a step they compare `book[TOP]` with what the step could
need at most, and ask their caller for a larger pool.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.compiled import kernel
from engine.plan import Int32s, Int64s

SIZE_CLASSES = 40
TOP = SIZE_CLASSES
IN_USE = SIZE_CLASSES + 1
NONE = -1  # no block, no user, no link


def new_book() -> Int64s:
    book = np.full(SIZE_CLASSES + 2, NONE, dtype=np.int64)
    book[TOP] = 0
    book[IN_USE] = 0
    return book


@kernel
def size_class_of(cells: int) -> int:
    """The smallest class whose blocks have that many cells; a block of class s has 2**s."""
    size_class = 0
    while (1 << size_class) < cells:
        size_class += 1
    return size_class


@kernel
def take_block(book: Int64s, link: Int64s | Int32s, size_class: int) -> int:
    """The first cell of an unused block."""
    book[IN_USE] += 1 << size_class
    start = int(book[size_class])
    if start != NONE:
        book[size_class] = link[start]
        return start
    start = int(book[TOP])
    book[TOP] += 1 << size_class
    return start


@kernel
def give_back_block(book: Int64s, link: Int64s | Int32s, size_class: int, start: int) -> None:
    book[IN_USE] -= 1 << size_class
    link[start] = book[size_class]
    book[size_class] = start


@kernel
def first_not_below(keys: Int32s, low: int, high: int, key: int) -> int:
    """The first of the ascending cells `low` … `high - 1` whose key is not below, or `high`."""
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def make_place(
    book: Int64s,
    cells: Any,
    link: Int64s | Int32s,
    start: int,
    count: int,
    size_class: int,
    position: int,
) -> int:
    """Move the cells of a block from `position` on up by one; return where the block starts.

    A block that is full, or none (class NONE), is exchanged for one of the next class.
    """
    if size_class == NONE or count == 1 << size_class:
        larger = take_block(book, link, size_class + 1)
        for offset in range(count):
            cells[larger + offset] = cells[start + offset]
        if size_class != NONE:
            give_back_block(book, link, size_class, start)
        start = larger
    for offset in range(count, position, -1):
        cells[start + offset] = cells[start + offset - 1]
    return start
