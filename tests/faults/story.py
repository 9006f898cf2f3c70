"""A stream of events drawn from a seed, written to a followed file as time goes on, and its truth.

Windows are either so short that they have passed when a story is judged, an hour after its last
event, or so long that they have not.  So what is true in the end does not depend on when exactly
somebody looked.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audience_dsl.instants import format_instant
from tests import oracle
from tests.cli.projects import changed, page, write_project

HOUR = 3_600_000_000
SHORT = 1_000_000

# An event was received so long before it is written: whoever reads it is sure that it was.
_ON_ITS_WAY = 50_000

_AUDIENCES: dict[str, Any] = {
    "twice": {"performed": "page_viewed", "at_least": 2, "within": "24h"},
    "few": {"performed": "page_viewed", "at_most": 3, "within": "24h"},
    "rich": {
        "all": [
            {"performed": "page_viewed", "at_least": 3, "within": "24h"},
            {"property": "ltv", "greater_than": 50},
        ]
    },
    "busy": {"performed": "page_viewed", "at_least": 2, "within": "1s"},
    "quiet": {"did_not_perform": "page_viewed", "within": "1s"},
    "both": {"all": [{"in_audience": "twice"}, {"in_audience": "few"}]},
}
DEFINITION = changed(
    audiences={key: {"parent_model": "users", "where": where} for key, where in _AUDIENCES.items()},
    syncs={key: {"audience": key, "destination": "archive"} for key in _AUDIENCES},
)
_LISTED = 150
_USERS = 200


class Story:
    """One project and what happens to its users."""

    def __init__(self, root: Path, seed: int) -> None:
        self.random = random.Random(seed)
        rows = {f"u{number}": {"ltv": number} for number in range(_LISTED)}
        lines = "".join(f"{user},{row['ltv']}\n" for user, row in rows.items())
        self.root = write_project(root, DEFINITION, "user_id,ltv\n" + lines)
        self._rows = rows
        self._events: list[oracle.Event] = []
        self._began = now()

    def go_on(self, seconds: float) -> None:
        """Write events for some time."""
        until = time.monotonic() + seconds
        with (self.root / "live" / "events.jsonl").open("a") as file:
            while time.monotonic() < until:
                for _ in range(self.random.randint(0, 8)):
                    file.write(self._line())
                file.flush()
                time.sleep(0.01)

    def _line(self) -> str:
        if self._events and self.random.random() < 0.05:  # sent twice
            record = dict(self.random.choice(self._events).record)
        else:
            user = f"u{min(self.random.randrange(_USERS), self.random.randrange(_USERS))}"
            record = json.loads(page(user, len(self._events), ""))
            late = self.random.random() < 0.1
            ago = self.random.randrange(10 * SHORT) if late else 0
            record["timestamp"] = format_instant(now() - _ON_ITS_WAY - ago)
        arrival = now() - _ON_ITS_WAY
        record["receivedAt"] = format_instant(arrival)
        self._events.append(oracle.Event(record, arrival))
        return json.dumps(record) + "\n"

    def members(self) -> set[tuple[str, str]]:
        """Who is in which audience an hour after all this."""
        history: list[oracle.Step] = [oracle.Pull(self._began, self._rows), *self._events]
        inside: set[tuple[str, str]] = set()
        for one in oracle.transitions(DEFINITION, history, now() + HOUR):
            change = inside.add if one.type == "entered" else inside.discard
            change((one.user_id, one.audience))
        return inside

    def ageings(self) -> Iterator[tuple[str, str]]:
        """Each user, and an instant at which an event of theirs can age out."""
        for event in self._events:
            timestamp = oracle.read_instant(event.record["timestamp"])
            for window in (SHORT, 24 * HOUR):
                yield event.record["userId"], format_instant(timestamp + window)


def now() -> int:
    return time.time_ns() // 1_000
