"""A story whose events come from one topic and whose transitions go to another one.

A message's arrival is its timestamp, in milliseconds, and it is keyed by its user.  It is in the
topic in time, or the story says whose it was.  That the job was given it in time, nobody can say
beforehand: where it was not, some transition says that it has happened later than its message
arrived.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests import oracle
from tests.faults.story import Story, definition_of
from tests.kafka.broker import Topic

_MILLISECOND = 1_000


class TopicStory(Story):
    def __init__(self, root: Path, seed: int, events: Topic, transitions: Topic) -> None:
        def through(topic: Topic, **more: str) -> dict[str, str]:
            servers = {"bootstrap_servers": topic.servers}
            return {"type": "kafka", "topic": topic.name, **servers, **more}

        definition = definition_of(
            sources={"web": through(events, format="segment")},
            destinations={"archive": through(transitions)},
        )
        super().__init__(root, seed, definition)
        self._events = events
        self._transitions = transitions

    def _received(self) -> int:
        return super()._received() // _MILLISECOND * _MILLISECOND

    def write(self, lines: Sequence[str], events: Sequence[oracle.Event]) -> None:
        self._events.send_all(
            (line, event.record["userId"], event.arrival // _MILLISECOND)
            for line, event in zip(lines, events, strict=True)
        )

    def note_tardy(self, entries: Iterable[dict[str, Any]]) -> None:
        arrivals = self.arrivals()
        for one in entries:
            user, cause = one["user_id"], one["cause"]
            if cause["kind"] == "event":
                arrived = arrivals[user, cause["message_id"]]
                instant = oracle.read_instant(one["effective_at"])
                if instant > min(arrived) and instant not in arrived:
                    self.tardy.add(user)

    def delivered(self) -> list[dict[str, Any]]:
        return [json.loads(message.value() or b"") for message in self._transitions.messages()]
