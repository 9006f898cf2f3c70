"""A stream of events drawn from a seed, written to a followed file as time goes on, and its truth.

An event whose line is in the file within the job's allowance after its arrival is evaluated at its
arrival, whatever the job and the machine are doing: so every transition that it causes is known
beforehand, to the microsecond.  Where the machine was too busy to write it in time, the story says
whose event that was.

Windows are either so short that they have passed when a story is judged, an hour after its last
event, or so long that they have not.  So what is true in the end does not depend on when exactly
somebody looked.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from audience_dsl.instants import format_instant
from connectors.wall_clock import wall_clock
from dataflows.realtime import ALLOWANCE
from tests import oracle
from tests.cli.projects import changed, page, write_project

Member = tuple[str, str]

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


def definition_of(**sections: Any) -> dict[str, Any]:
    """The project of all stories, with other sections."""
    audiences = {key: {"parent_model": "users", "where": one} for key, one in _AUDIENCES.items()}
    syncs = {key: {"audience": key, "destination": "archive"} for key in _AUDIENCES}
    return changed(**{"audiences": audiences, "syncs": syncs, **sections})


DEFINITION = definition_of()
_LISTED = 150
_USERS = 200


class Story:
    """One project and what happens to its users.

    `ahead` is how much the clock of whoever receives events is ahead of this machine's.
    """

    arguments: tuple[str, ...] = ()
    """What jobs on it are told."""

    def __init__(self, root: Path, seed: int, definition: dict[str, Any] = DEFINITION) -> None:
        self.random = random.Random(seed)
        rows = {f"u{number}": {"ltv": number} for number in range(_LISTED)}
        lines = "".join(f"{user},{row['ltv']}\n" for user, row in rows.items())
        self.root = write_project(root, definition, "user_id,ltv\n" + lines)
        self.ahead = 0
        self.clock_was_set = False
        self._shown = 0  # by a clock that has been set since
        self.tardy: set[str] = set()
        """Users of events that may have reached the job later than it waits for them."""
        self.events: list[oracle.Event] = []
        self._rows = rows

    def set_clock(self, ahead: int) -> None:
        self.clock_was_set = True
        self._shown = max(self._shown, wall_clock() + self.ahead)
        self.ahead = ahead

    def go_on(self, seconds: float) -> None:
        """Let events happen for some time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._happen([self._event() for _ in range(self.random.randint(0, 8))])
            time.sleep(0.01)

    def happen_to(self, user: str) -> None:
        """One event of a user of its own."""
        record = json.loads(page(user, len(self.events), format_instant(self._received())))
        self._happen([self._noted(record)])

    def _event(self) -> oracle.Event:
        if self.events and self.random.random() < 0.05:  # sent twice
            record = dict(self.random.choice(self.events).record)
        else:
            user = f"u{min(self.random.randrange(_USERS), self.random.randrange(_USERS))}"
            record = json.loads(page(user, len(self.events), ""))
            late = self.random.random() < 0.1
            ago = self.random.randrange(10 * SHORT) if late else 0
            record["timestamp"] = format_instant(self._received() - ago)
        return self._noted(record)

    def _noted(self, record: dict[str, Any]) -> oracle.Event:
        """The event of a record that is received now; arrivals never fall."""
        received = self._received()
        record["receivedAt"] = format_instant(received)
        latest = self.events[-1].arrival if self.events else 0
        event = oracle.Event(record, max(received, latest))
        self.events.append(event)
        return event

    def _received(self) -> int:
        return wall_clock() + self.ahead - _ON_ITS_WAY

    def _happen(self, events: Sequence[oracle.Event]) -> None:
        self.write([json.dumps(event.record) + "\n" for event in events], events)
        reached = max(wall_clock() + self.ahead, self._shown)
        self.tardy |= {
            event.record["userId"] for event in events if reached - event.arrival > ALLOWANCE
        }

    def write(self, lines: Sequence[str], events: Sequence[oracle.Event]) -> None:
        """Return when the job can read them."""
        with (self.root / "live" / "events.jsonl").open("a") as file:
            file.writelines(lines)

    def note_tardy(self, entries: Iterable[dict[str, Any]]) -> None:
        """Learn from the journal whose events were tardy; of a file, it is known without."""

    def transitions(self, began: int = 0) -> list[oracle.Transition]:
        """All that a job causes that began at an instant, until an hour after all this."""
        until = wall_clock() + self.ahead + HOUR
        events: dict[str, list[oracle.Event]] = {user: [] for user in self._rows}
        for event in self.events:
            events.setdefault(event.record["userId"], []).append(event)
        found = []
        for user, own in events.items():
            rows = {user: self._rows[user]} if user in self._rows else {}
            before = [event for event in own if event.arrival < began]
            after = own[len(before) :]
            history: list[oracle.Step] = [*before, oracle.Pull(began, rows), *after]
            found += oracle.transitions(DEFINITION, history, until)
        return found

    def members(self) -> set[Member]:
        """Who is in which audience an hour after all this."""
        return members_after(self.transitions())

    def arrivals(self) -> dict[tuple[str, str], list[int]]:
        """When the events of each user and message id arrived."""
        return self._instants(lambda event: event.arrival)

    def receptions(self) -> dict[tuple[str, str], list[int]]:
        """The same by the clock of whoever received them, which may have been set back."""
        return self._instants(lambda event: oracle.read_instant(event.record["receivedAt"]))

    def _instants(self, of: Callable[[oracle.Event], int]) -> dict[tuple[str, str], list[int]]:
        found: dict[tuple[str, str], list[int]] = {}
        for event in self.events:
            record = event.record
            found.setdefault((record["userId"], record["messageId"]), []).append(of(event))
        return found

    def has_pulled(self, _version: str) -> bool:
        """Whether there was such a pull; in stories that begin with all that they know, never."""
        return False

    def ageings(self) -> set[tuple[str, str]]:
        """Each user, and the instants at which an event of theirs can age out."""
        return {
            (event.record["userId"], format_instant(timestamp + window))
            for event in self.events
            for timestamp in [min(oracle.read_instant(event.record["timestamp"]), event.arrival)]
            for window in (SHORT, 24 * HOUR)
        }


def members_after(transitions: Iterable[oracle.Transition]) -> set[Member]:
    inside: set[Member] = set()
    for one in transitions:
        change = inside.add if one.type == "entered" else inside.discard
        change((one.user_id, one.audience))
    return inside
