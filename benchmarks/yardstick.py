"""The yardstick: what it costs merely to decode the recording with msgspec.

Every line is decoded to a typed struct with the fields that the suites ask about, one line after
the other, and thrown away.  Reading the file is not part of it.  A program in Python that looks at
events can hardly take less, so results are given as multiples of it.
"""

from __future__ import annotations

import time

import msgspec

from benchmarks.workload import Workload


class _Properties(msgspec.Struct, gc=False):
    path: str | None = None
    channel: str | None = None
    category: str | None = None
    amount: float | None = None


class _Event(msgspec.Struct, gc=False):
    type: str
    userId: str  # noqa: N815
    timestamp: str
    messageId: str  # noqa: N815
    receivedAt: str | None = None  # noqa: N815
    event: str | None = None
    properties: _Properties | None = None


def decoding(recording: Workload) -> float:
    """Return the CPU seconds that decoding all lines takes."""
    decode = msgspec.json.Decoder(_Event).decode
    spent = 0.0
    for lines in recording.blocks():
        before = time.process_time()
        events = [decode(line) for line in lines]
        spent += time.process_time() - before
        del events
    return spent
