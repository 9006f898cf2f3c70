"""Random histories, decoded from random bytes.

A history is a string of bytes in which each step takes a few, so that Hypothesis generates and
shrinks thousands of them in seconds.  All instants lie on a grid of seconds, for ties are where
engines go wrong; a few events miss it by a microsecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tests import oracle

SECOND = 1_000_000
BASE = 1_772_359_200 * SECOND  # 2026-03-01T10:00:00Z
USERS = ("u1", "u2", "u3")
STEPS_MAX = 24

_PAUSES = (0, 0, 0, 0, 1, 1, 1, 2, 3, 5)
_DELAYS = (
    0,
    0,
    0,
    0,
    0,
    -1,
    -2,
    -3,
    -5,
    -8,
    -10,
    -20,
    1,
    3,
    8,
    20,
)  # what is recorded, seen from the arrival
_PLANS: tuple[dict[str, Any], ...] = (
    {},
    {"plan": "free", "ltv": 1},
    {"plan": "pro", "ltv": 3, "vip": True},
    {"plan": None, "ltv": 2, "vip": False},
)
_NO_ROW = 4


class History(NamedTuple):
    steps: list[oracle.Step]
    until: int


class Recordings(NamedTuple):
    """Files of records, what the warehouse holds, and the stretch of time to replay."""

    files: dict[str, list[dict[str, Any]]]
    rows: dict[str, dict[str, Any]]
    start: int | None
    until: int | None


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def below(self, bound: int) -> int:
        return next(self._data, 0) % bound

    def one_of(self, choices: tuple[Any, ...]) -> Any:
        return choices[self.below(len(choices))]

    def chance(self, per_16: int) -> bool:
        return self.below(16) >= 16 - per_16


def decode(data: bytes, pulls: int = 1) -> History:
    """Steps in the order in which the system processes them; the clock itself never goes back.

    Single events may be older than what came before (another partition was slower).  Of 16 steps
    behind the first pull, about so many are `pulls`.
    """
    source = _Bytes(data)
    before_first_pull = source.below(4)
    records: list[dict[str, Any]] = []
    steps: list[oracle.Step] = []
    now = BASE
    size = min(STEPS_MAX, len(data) // 5)
    for number in range(max(size, before_first_pull) + 1):
        now += source.one_of(_PAUSES) * SECOND
        if number == before_first_pull or source.chance(pulls):
            at = now - SECOND * source.below(3) if source.chance(2) else now
            steps.append(oracle.Pull(at, dict(_rows(source))))
        elif source.chance(2):
            steps.append(oracle.Tick(now - source.below(3) // 2 * SECOND))
        else:
            arrival = now - (SECOND * source.below(4) if source.chance(2) else 0)
            record = _copy(source, records) if records and source.chance(4) else None
            record = record or _record(source, arrival, len(records))
            records.append(record)
            steps.append(oracle.Event(record, arrival))
    return History(steps, now + source.one_of((0, 3, 30)) * SECOND)


def decode_recordings(data: bytes) -> Recordings:
    """The events of a history in up to three files, most with the instant of their receipt."""
    source = _Bytes(data[:48])
    files: dict[str, list[dict[str, Any]]] = {"a.jsonl": [], "b.jsonl": [], "c.jsonl": []}
    names = tuple(files)
    for step in decode(data[16:]).steps:
        if isinstance(step, oracle.Event):
            received = {} if source.chance(3) else {"receivedAt": _text(step.arrival)}
            files[source.one_of(names)].append({**step.record, **received})
    start = None if source.chance(6) else BASE + source.below(20) * SECOND
    end = (start or BASE + 5 * SECOND) + source.below(40) * SECOND
    until = None if source.chance(6) else end
    rows = {"u0": {"plan": "pro", "ltv": 5, "vip": True}, **dict(_rows(source))}
    return Recordings(files, rows, start, until)


def _rows(source: _Bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for user in USERS:
        kind = source.below(5)
        if kind != _NO_ROW:
            yield user, dict(_PLANS[kind])


def _copy(source: _Bytes, records: list[dict[str, Any]]) -> dict[str, Any]:
    """A redelivery; or an event that shares the id only, or the time only."""
    record = records[-1 - source.below(len(records))]
    match source.below(8):
        case 6:
            return {**record, "timestamp": _text(oracle.read_instant(record["timestamp"]) + SECOND)}
        case 7:
            return {**record, "messageId": f"{record.get('messageId')}'"}
    return record


def _record(source: _Bytes, arrival: int, number: int) -> dict[str, Any]:
    record = {
        "userId": source.one_of(USERS + USERS[:1]),
        "timestamp": _text(
            arrival
            + source.one_of(_DELAYS) * SECOND
            + (source.below(3) - 1 if source.chance(1) else 0)
        ),
        "messageId": f"m{number}",
        **_what(source),
    }
    if source.chance(1):
        del record["messageId"]
    return record


def _what(source: _Bytes) -> dict[str, Any]:
    match source.below(8):
        case 0 | 1 | 2 | 3:
            properties = {
                "path": source.one_of(("/a", "/a", "/b", None)),
                "seconds": source.below(4),
            }
            return {"type": "page", "properties": properties}
        case 4 | 5:
            properties = {"amount": source.one_of((0, 1, 2, "3", "x", None))}
            coupon = {"coupon": "c"} if source.chance(4) else {}
            return {
                "type": "track",
                "event": "Order Completed",
                "properties": {**properties, **coupon},
            }
        case 6:
            return {"type": "track", "event": "Searched", "properties": {}}
    return {"type": "track", "event": "Unknown", "properties": {}}


def _text(instant: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
