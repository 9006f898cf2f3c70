"""From chunks of raw lines to records of one shape, and a dead letter for each broken line.

Lines are decoded many at a time, in place, which costs far less than cutting them out first.  The
decoder of many lines minds where values end, not where lines do; but a value that ends with } and
one that begins with { can only meet *between* two records, so if all lines begin and end so, and
there are as many values as lines, then every line is exactly one record.  A stretch of lines that
is not so is decoded line by line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np

from connectors.sources.chunks import Chunk, DeadLetter, Row
from connectors.sources.exact import Unreadable, read_json
from connectors.sources.shape import Record, Shape
from engine.plan import Int64s

_STRETCH = 128
_REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError)

# From a line to the decoded object that paths lead into; raises `Unreadable`.
ReadLine = Callable[[bytes], object]
# The same for what has been decoded elsewhere.
View = Callable[[Row], object]


class Decoded(NamedTuple):
    """`places[i]` tells which of the chunk's lines, or rows, `records[i]` was."""

    records: list[Record]
    places: Int64s
    dead_letters: list[DeadLetter]


class Decoder:
    """Decodes chunks to records of a shape.

    `view` makes of a decoded object the one that paths lead into; `read_line` also decodes it.
    Where `direct`, the JSON of a line is that object already, unless the shape refuses it.
    """

    def __init__(self, shape: Shape, read_line: ReadLine, view: View, direct: bool = True) -> None:
        self._shape = shape
        self._read_line = read_line
        self._view = view
        self._direct = direct

    def decode(self, chunk: Chunk) -> Decoded:
        if chunk.rows:
            rows = [self._shape.of(self._view(row)) for row in chunk.rows]
            return Decoded(rows, np.arange(len(rows)), list(chunk.dead_letters))
        starts, ends = chunk.lines.starts.tolist(), chunk.lines.ends.tolist()
        braced = self._direct and chunk.lines.braced.all()
        data = memoryview(chunk.data)  # type: ignore[arg-type]
        records: list[Record] = []
        broken: list[int] = []
        dead_letters = list(chunk.dead_letters)
        for first in range(0, len(starts), _STRETCH):
            last = min(first + _STRETCH, len(starts)) - 1
            if braced or (self._direct and chunk.lines.braced[first : last + 1].all()):
                try:
                    decoded = self._shape.decode_lines(data[starts[first] : ends[last]])
                except _REFUSALS:
                    pass
                else:
                    if len(decoded) == last - first + 1:
                        records += decoded
                        continue
            for place in range(first, last + 1):
                try:
                    records.append(self._decode_alone(chunk.line(place)))
                except Unreadable as error:
                    broken.append(place)
                    dead_letters.append(chunk.dead_letter(place, str(error)))
        places = np.arange(len(starts))
        return Decoded(records, np.delete(places, broken) if broken else places, dead_letters)

    def _decode_alone(self, line: bytes) -> Record:
        if self._direct:
            try:
                return self._shape.decode(line)
            except _REFUSALS:
                pass
        return self._shape.of(self._read_line(line))


def read_object(line: bytes) -> dict[str, object]:
    """The object that a line of JSON is.

    Raises:
        Unreadable: it is broken JSON, or something else than an object.
    """
    try:
        raw = msgspec.json.decode(line)
    except _REFUSALS:
        raw = read_json(line)
    if not isinstance(raw, dict):
        raise Unreadable("not a JSON object")
    return raw
