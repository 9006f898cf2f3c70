"""Paths into raw records: `properties.products[0].sku`.

A path is a row of steps, each the key of an object or the place in an array.  Vendors also write
keys that contain dots (`"utm.source"`), so at every object the whole rest of the path is looked up
as one key first, and only then its first step alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_STEP = re.compile(r"([^.\[\]]+)((?:\[[0-9]{1,6}\])*)")


@dataclass(frozen=True, slots=True)
class Path:
    """`rests[i]` is the text of the path from step `i` on."""

    text: str
    steps: tuple[str | int, ...]
    rests: tuple[str, ...]


def parse_path(text: str) -> Path:
    """Read a path.

    Raises:
        ValueError: it is not of the form `key.key[0].key`; the message is a sentence.
    """
    steps: list[str | int] = []
    rests: list[str] = []
    position = 0
    while True:
        match = _STEP.match(text, position)
        if match is None:
            break
        steps.append(match[1])
        rests.append(text[position:])
        bracket = match.end(1)
        for index in re.findall(r"[0-9]+", match[2]):
            steps.append(int(index))
            rests.append(text[bracket:])
            bracket = text.index("]", bracket) + 1
        position = match.end() + 1
        if match.end() == len(text):
            return Path(text, tuple(steps), tuple(rests))
        if text[match.end()] != ".":
            break
    raise ValueError(f"'{text}' is not a path: write keys with dots, places as [0]")


def pluck(record: object, path: Path, start: int = 0) -> object:
    """The value at a path, from step `start` on; `None` where there is none."""
    value = record
    last = len(path.steps) - 1
    for place in range(start, last + 1):
        step = path.steps[place]
        if isinstance(value, Mapping):
            if place < last and path.rests[place] in value:
                return value[path.rests[place]]
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, Sequence) and not isinstance(value, str):
            value = value[step] if step < len(value) else None
        else:
            return None
    return value
