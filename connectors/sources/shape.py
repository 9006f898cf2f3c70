"""Which values of a record are wanted: paths, merged into one tree of places.

The tree is laid out in arrays for the scanner.  Keys that are spelled as one with dots
(`"utm.source"`) win over nested ones, so a record that has such a key beside a wanted place is
refused by the scanner, and decoded in the slow way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from connectors.sources.paths import Path
from engine.compiled import kernel
from engine.plan import Bytes, Int64s
from engine.words import at

# Enough that most keys which are not wanted meet an empty slot.
SLOTS = 64

# What a key leads to that makes the scanner refuse the record.
REFUSED = -2


class _Place:
    """A place in the record, with what is wanted inside."""

    def __init__(self) -> None:
        self.fields: dict[str, _Place] = {}
        self.elements: dict[int, _Place] = {}
        self.refused: set[str] = set()

    def add(self, step: str | int) -> _Place:
        if isinstance(step, str):
            return self.fields.setdefault(step, _Place())
        return self.elements.setdefault(step, _Place())


class Places(NamedTuple):
    """The tree in arrays: the entries of place `p` are those from `firsts[p]` to `firsts[p + 1]`.

    Entry `e` is an object's key, or the element of an array at `indexes[e]`; `targets[e]` is the
    place that it leads to, or `REFUSED`.  The value at place `p` goes to column `columns[p]`; -1 is
    none.

    A key of place `p` is found from `slots[p, slot_of(key)]` on: the entry there, then that one's
    `following`, and so on; -1 is the end.
    """

    columns: Int64s
    firsts: Int64s
    key_starts: Int64s  # one more than entries
    key_bytes: Bytes
    indexes: Int64s
    targets: Int64s
    slots: Int64s  # shape (places, SLOTS)
    following: Int64s


@kernel
def slot_of(data, begin, end):  # type: ignore[no-untyped-def]
    """Where the key `data[begin:end]` belongs: few keys share both ends and their length."""
    first, last = int(at(data, begin)), int(at(data, end - 1))
    return (first * 5 + last * 11 + end - begin) & (SLOTS - 1)


class Shape:
    """The values at `paths`, a column each; `refused` top-level keys refuse a record."""

    def __init__(self, paths: Iterable[Path], refused: Iterable[str] = ()) -> None:
        self.paths = sorted(set(paths), key=lambda path: path.text)
        self._root = _Place()
        self._root.refused.update(refused)
        for path in self.paths:
            place = self._root
            for i, step in enumerate(path.steps):
                if isinstance(step, str) and i + 1 < len(path.steps):
                    place.refused.add(path.rests[i])
                place = place.add(step)
        self.places = self._laid_out()

    def _laid_out(self) -> Places:
        steps_to: list[tuple[str | int, ...]] = [()]
        places = [self._root]
        firsts = [0]
        entries: list[tuple[str, int, int]] = []
        for steps, place in zip(steps_to, places, strict=False):  # both grow on the way
            inside = [(key, -1, one) for key, one in place.fields.items()]
            inside += [("", index, one) for index, one in place.elements.items()]
            for key, index, one in inside:
                entries.append((key, index, len(places)))
                places.append(one)
                steps_to.append((*steps, key if index < 0 else index))
            entries += [(key, -1, REFUSED) for key in sorted(place.refused - place.fields.keys())]
            firsts.append(len(entries))
        columns = {path.steps: number for number, path in enumerate(self.paths)}
        keys = [key.encode() for key, _, _ in entries]
        is_key = [index < 0 for _, index, _ in entries]
        slots, following = _slots(keys, is_key, firsts)
        return Places(
            columns=np.array([columns.get(steps, -1) for steps in steps_to], dtype=np.int64),
            firsts=np.array(firsts, dtype=np.int64),
            key_starts=np.cumsum([0, *map(len, keys)], dtype=np.int64),
            key_bytes=np.frombuffer(bytearray(b"".join(keys)), dtype=np.uint8),
            indexes=np.array([index for _, index, _ in entries], dtype=np.int64),
            targets=np.array([target for _, _, target in entries], dtype=np.int64),
            slots=slots,
            following=following,
        )


def _slots(
    keys: Sequence[bytes], is_key: Sequence[bool], firsts: Sequence[int]
) -> tuple[Int64s, Int64s]:
    """How the keys of each place are found; an entry that is an element's has none."""
    slots = np.full((len(firsts) - 1, SLOTS), -1, dtype=np.int64)
    following = np.full(len(keys), -1, dtype=np.int64)
    for place, (first, end) in enumerate(pairwise(firsts)):
        for entry in (one for one in range(first, end) if is_key[one]):
            quoted = np.frombuffer(b'"%b"' % keys[entry], dtype=np.uint8)
            slot = slot_of(quoted, 1, len(quoted) - 1)
            following[entry] = slots[place, slot]
            slots[place, slot] = entry
    return slots, following
