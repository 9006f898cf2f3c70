"""Stories whose warehouse changes, and is pulled while a job runs.

When each pull took force, its transitions say; that has to be one instant for all users.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import override

from connectors.wall_clock import wall_clock
from project.folder import load_project
from tests import oracle
from tests.faults.journal import journal
from tests.faults.story import DEFINITION, HOUR, Story, definition_of
from warehouse.pull import pull

DEFINITION_WITH_VIPS = definition_of(
    audiences={
        **DEFINITION["audiences"],
        "vip": {"parent_model": "users", "where": {"property": "ltv", "at_least": 100}},
    },
    syncs=DEFINITION["syncs"],
)
_KNOWN = 200


class Contents(NamedTuple):
    """What a warehouse has."""

    rows: oracle.Rows
    related: oracle.Related = {}  # noqa: RUF012 - never changed

    def of(self, user: str, at: int) -> oracle.Pull:
        """What of it matters to one user."""
        rows = {user: self.rows[user]} if user in self.rows else {}
        related = {
            key: [row for row in rows if row["user_id"] == user]
            for key, rows in self.related.items()
        }
        return oracle.Pull(at, rows, related)


class PulledStory(Story):
    """A story in which rows come, go and change."""

    def __init__(
        self, root: Path, seed: int, definition: dict[str, Any] = DEFINITION_WITH_VIPS
    ) -> None:
        super().__init__(root, seed, definition)
        self._definition = definition
        self.pulled: dict[str, Contents] = {}
        """What each version has read."""
        self.first = Contents(dict(self._rows))

    def change(self) -> None:
        """Let users come, go and change."""
        for number in self.random.sample(range(_KNOWN), 40):
            self._rows.pop(f"u{number}", None)
            if self.random.random() < 0.8:
                self._rows[f"u{number}"] = {"ltv": self.random.randrange(200)}

    def pull(self) -> str:
        """Change some rows, and publish a snapshot of them; its version."""
        self.change()
        lines = "".join(f"{user},{row['ltv']}\n" for user, row in self._rows.items())
        (self.root / "users.csv").write_text("user_id,ltv\n" + lines)
        loaded = load_project(self.root, {}).loaded
        assert loaded is not None
        version = pull(self.root, None, loaded.project.plans["users"], wall_clock()).version
        self.pulled[version] = Contents(dict(self._rows))
        return version

    @override
    def has_pulled(self, version: str) -> bool:
        return version in self.pulled

    def instants(self) -> dict[str, int]:
        """When the versions took force that have moved anybody."""
        found: dict[str, set[int]] = {}
        for one in journal(self.root):
            if one["cause"]["kind"] == "warehouse_pull":
                at = oracle.read_instant(one["effective_at"])
                found.setdefault(one["cause"]["pull"], set()).add(at)
        assert all(len(one) == 1 for one in found.values()), found
        return {version: at for version, (at,) in found.items()}

    @override
    def transitions(self, began: int = 0) -> list[oracle.Transition]:
        pulls = [(began, self.first)]
        pulls += [(at, self.pulled[version]) for version, at in self.instants().items()]
        users = {event.record["userId"] for event in self.events}
        users |= {user for _, contents in pulls for user in contents.rows}
        found: list[oracle.Transition] = []
        for user in users:
            steps: list[tuple[int, int, oracle.Step]] = [
                (event.arrival, 1, event) for event in self.events if event.record["userId"] == user
            ]
            steps += [(at, 0, contents.of(user, at)) for at, contents in pulls]
            history = [step for *_, step in sorted(steps, key=lambda one: one[:2])]
            found += oracle.transitions(self._definition, history, wall_clock() + self.ahead + HOUR)
        return found
