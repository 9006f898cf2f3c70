"""From chunks of raw lines to columns of the wanted values, and a dead letter for broken lines.

Most lines are taken by the scanner.  What it refuses, and what was never JSON, is decoded to
objects whose wanted values are written behind the chunk's bytes: whoever reads the columns does
not see which way a value came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from connectors.sources.chunks import Chunk, DeadLetter, Row
from connectors.sources.exact import Unreadable, read_json
from connectors.sources.paths import Path, pluck
from connectors.sources.scanning import scan
from connectors.sources.shape import Shape
from connectors.sources.tokens import Kinds, Tokens, written_value
from engine.plan import Bytes, Int64s

_REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError)

# From a line to the decoded object that paths lead into; raises `Unreadable`.
ReadLine = Callable[[bytes], object]
# The same for what has been decoded elsewhere.
View = Callable[[Row], object]


class Records:
    """The wanted values of records, a column a path."""

    def __init__(self, shape: Shape, count: int) -> None:
        size = len(shape.paths), count
        self._numbers = {path: number for number, path in enumerate(shape.paths)}
        self.data: Bytes = np.empty(0, dtype=np.uint8)
        self.kinds: Kinds = np.zeros(size, dtype=np.uint8)
        self.begins: npt.NDArray[np.int64] = np.empty(size, dtype=np.int64)
        self.ends: npt.NDArray[np.int64] = np.empty(size, dtype=np.int64)

    @property
    def count(self) -> int:
        return len(self.kinds[0])

    def column(self, path: Path) -> Tokens:
        number = self._numbers[path]
        return Tokens(self.data, self.kinds[number], self.begins[number], self.ends[number])

    def put(self, objects: dict[int, object]) -> None:
        """Write the wanted values of records that have been decoded to objects."""
        written = [bytes(self.data)]
        end = len(self.data)
        for row, record in objects.items():
            for path, number in self._numbers.items():
                self.kinds[number, row], text = written_value(pluck(record, path))
                self.begins[number, row] = end
                end += len(text)
                self.ends[number, row] = end
                written.append(text)
        self.data = np.frombuffer(bytearray(b"".join(written)), dtype=np.uint8)

    def keep(self, rows: Int64s) -> None:
        """Keep some records only."""
        self.kinds = np.ascontiguousarray(self.kinds[:, rows])
        self.begins = np.ascontiguousarray(self.begins[:, rows])
        self.ends = np.ascontiguousarray(self.ends[:, rows])


class Decoded(NamedTuple):
    """`places[i]` tells which of the chunk's lines, or rows, record `i` was."""

    records: Records
    places: Int64s
    dead_letters: list[DeadLetter]


class Decoder:
    """Decodes chunks to the wanted values of a shape.

    `view` makes of a decoded object the one that paths lead into; `read_line` also decodes it.
    Where `direct`, the JSON of a line is that object already, unless the shape refuses it.
    """

    def __init__(self, shape: Shape, read_line: ReadLine, view: View, direct: bool = True) -> None:
        self.shape = shape
        self._read_line = read_line
        self._view = view
        self._direct = direct

    def decode(self, chunk: Chunk) -> Decoded:
        dead_letters = list(chunk.dead_letters)
        count = len(chunk.rows) or len(chunk.lines.starts)
        records = Records(self.shape, count)
        if chunk.rows:
            records.put({place: self._view(row) for place, row in enumerate(chunk.rows)})
            return Decoded(records, np.arange(count), dead_letters)
        taken = np.zeros(count, dtype=np.bool_)
        if self._direct:
            records.data = chunk.data
            lines = chunk.lines
            scan(
                chunk.data,
                lines.starts,
                lines.ends,
                self.shape.places,
                records.kinds,
                records.begins,
                records.ends,
                taken,
            )
        if taken.all():
            return Decoded(records, np.arange(count), dead_letters)
        objects: dict[int, object] = {}
        broken: list[int] = []
        for place in np.flatnonzero(~taken).tolist():
            try:
                objects[place] = self._read_line(chunk.line(place))
            except Unreadable as error:
                broken.append(place)
                dead_letters.append(chunk.dead_letter(place, str(error)))
        records.put(objects)
        places = np.delete(np.arange(count), broken)
        if broken:
            records.keep(places)
        return Decoded(records, places, dead_letters)


def read_object(line: bytes) -> dict[str, object]:
    """The object that a line of JSON is.

    Raises:
        Unreadable: it is broken JSON, or something else than an object.
    """
    raw = read_value(line)
    if not isinstance(raw, dict):
        raise Unreadable("not a JSON object")
    return raw


def read_value(text: bytes) -> object:
    """Whatever some JSON is.

    Raises:
        Unreadable: it is broken.
    """
    try:
        return msgspec.json.decode(text)
    except _REFUSALS:
        return read_json(text)
