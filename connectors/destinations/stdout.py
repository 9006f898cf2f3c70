"""The destination stdout: JSON lines for whatever a shell puts behind the job.

Whole messages are written and flushed at once.  What the reader makes of them is its own affair:
accepted means that it has been handed over.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import BinaryIO

from typing_extensions import override

from audience_dsl.definitions import Settings
from audience_dsl.shapes import Record
from connectors.destinations.blocking import Blocking, Item, said
from connectors.destinations.destination import ACCEPTED, Capacity, Outcome, Verdict
from connectors.destinations.place import Place

OPTIONS = Record("stdout", "Standard output, as JSON lines.", ())


class Stdout(Blocking):
    """Writes whole lines; `stream` stands in for standard output."""

    capacity = Capacity(messages=1000, requests=1)

    def __init__(self, settings: Settings, _place: Place, stream: BinaryIO | None = None) -> None:
        super().__init__(settings, "standard output")
        self._stream = stream

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        stream = self._stream or sys.stdout.buffer
        stream.write(b"".join(one.body + b"\n" for one in items))
        stream.flush()
        return [ACCEPTED] * len(items)

    @override
    def explain(self, error: Exception) -> Outcome:
        return Outcome(Verdict.RETRY, f"standard output cannot be written: {said(error)}")

    @override
    def probe(self) -> None:
        if (self._stream or sys.stdout.buffer).closed:
            raise BrokenPipeError("it is closed")

    @override
    def disconnect(self) -> None:
        """It stays open for others."""
