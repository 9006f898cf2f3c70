"""Events that could not be understood, as the job has put them aside.

They are no deliveries: they never became inputs.  A job that reads a source once more after a crash
puts the same ones aside again; they have the same id then, and are one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dataflows.emission import DEAD_LETTERS

# In front of their ids; those of transitions never look so.
EVENT = "event-"


class EventLetter(NamedTuple):
    """`file` is a topic's partition where the source is one, `line` the offset there then."""

    received_at: str
    file: str
    line: int
    reason: str
    excerpt: str

    @property
    def id(self) -> str:
        place = f"{self.file}\0{self.line}\0{self.excerpt}".encode(errors="surrogatepass")
        return f"{EVENT}{hashlib.sha256(place).hexdigest()[:16]}"

    def facts(self) -> dict[str, Any]:
        """One line of a list."""
        return {
            "type": "event",
            "id": self.id,
            "received_at": self.received_at,
            "file": self.file,
            "line": self.line,
            "reason": self.reason,
        }


def event_letters(root: Path) -> Iterator[EventLetter]:
    """In the order in which they were put aside, each once.

    Raises:
        OSError: the file cannot be read.
    """
    path = root / DEAD_LETTERS
    if not path.exists():
        return
    decode = msgspec.json.Decoder(_Line).decode
    seen: set[str] = set()
    with path.open("rb") as file:
        for line in file:
            try:
                told = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # it is being written, or a crash has cut it off
            letter = EventLetter(told.received_at, told.file, told.line, told.reason, told.excerpt)
            if letter.id not in seen:
                seen.add(letter.id)
                yield letter


class _Line(msgspec.Struct):
    received_at: str
    file: str
    line: int
    reason: str
    excerpt: str
