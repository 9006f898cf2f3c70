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
