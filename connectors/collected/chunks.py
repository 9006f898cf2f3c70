"""Records of a log as one chunk, whichever frames and partitions they come from.

One chunk a poll, not one a frame: what follows costs the same for each chunk, however few records
are in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from connectors.collected.frames import LETTERS, Frame
from connectors.collected.records import Letter
from connectors.sources.chunks import Chunk, DeadLetter
from engine.plan import Int64s

# Whether a partition's records at a place in the log are asked for.
Wanted = Callable[[int, int], bool]

_LETTERS_PARTITION = 0


@dataclass
class CollectedChunk(Chunk):
    """Events of a log; `numbers` are those of its `lines`, counted over the whole log."""

    numbers: Int64s = field(default_factory=lambda: np.empty(0, dtype=np.int64), repr=False)

    def line_numbers(self, places: Int64s) -> Int64s:
        return self.numbers[places]


def log_name(source: str) -> str:
    """What names the log of a source, where a record of it is told of."""
    return f"collected/{source}"


def chunk_of(
    name: str, frames: Sequence[Frame], wanted: Wanted, number: int = 0
) -> CollectedChunk | None:
    """The records of some frames; `None` if none of them is wanted.

    What could not be read goes with the first partition.  A dead letter's `line` is the number of
    its record.  Events of one partition are in their order, and so are arrivals.
    """
    pieces: list[memoryview] = []
    arrivals: list[int] = []
    firsts: list[int] = []
    counts: list[int] = []
    letters: list[DeadLetter] = []
    for frame in frames:
        end, following = frame.start, frame.number
        for partition, count, size in frame.sections:
            start, first = end, following
            end, following = end + size, following + count
            is_letters = partition == LETTERS
            if not wanted(_LETTERS_PARTITION if is_letters else partition, frame.offset):
                continue
            if is_letters:
                letters += _read_letters(name, first, frame.data[start:end])
                continue
            pieces.append(frame.data[start:end])
            arrivals.append(frame.arrival)
            firsts.append(first)
            counts.append(count)
    if not pieces and not letters:
        return None
    data = np.frombuffer(bytearray(b"").join(pieces), dtype=np.uint8)
    sizes = np.array(counts, dtype=np.int64)
    before = np.cumsum(sizes) - sizes
    numbers = np.arange(sizes.sum()) + np.repeat(np.array(firsts, dtype=np.int64) - before, sizes)
    return CollectedChunk(
        file=name,
        number=number,
        first_line=frames[0].number,
        data=data,
        dead_letters=tuple(letters),
        size=frames[-1].end - frames[0].offset,
        arrivals=np.repeat(np.array(arrivals, dtype=np.int64), sizes),
        numbers=numbers,
    )


def _read_letters(name: str, number: int, lines: memoryview) -> list[DeadLetter]:
    found = [msgspec.json.decode(line, type=Letter) for line in bytes(lines).split(b"\n")[:-1]]
    return [
        DeadLetter(name, number + i, letter.reason, letter.excerpt)
        for i, letter in enumerate(found)
    ]
