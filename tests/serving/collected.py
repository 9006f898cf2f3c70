"""Projects that collect, and what is in their logs."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from connectors.collected.folder import log_folder
from connectors.collected.source import CollectedSource

CAPTURES = Path(__file__).parents[1] / "fixtures" / "captures" / "requests.jsonl.gz"

# A source of each format, as the captured clients know them.
SOURCES: dict[str, Any] = {
    "web": {"type": "http", "format": "segment", "write_keys": ["SEGMENT_WRITE_KEY"]},
    "rudder": {"type": "http", "format": "rudderstack", "write_keys": ["RUDDER_WRITE_KEY"]},
    "hightouch": {"type": "http", "format": "hightouch", "write_keys": ["HT_WRITE_KEY"]},
    "snowplow": {"type": "http", "format": "snowplow", "app_ids": ["shop", "shop-web", "b"]},
}
SOURCE_OF = {"segment": "web", "rudderstack": "rudder"}


class Kept(NamedTuple):
    """Events in a log, and the reasons for which others are none."""

    events: list[dict[str, Any]]
    reasons: list[str]

    @property
    def ids(self) -> list[str]:
        return [str(one.get("messageId", one.get("event_id"))) for one in self.events]


def kept(root: Path, source: str = "web") -> Kept:
    """All that a job would find."""
    found = Kept([], [])
    log = CollectedSource(log_folder(root, source), source, 0)
    with closing(log.follow([])):
        while True:
            for chunk in log.poll(1 << 20):
                found.events.extend(
                    json.loads(bytes(chunk.line(i))) for i in range(len(chunk.lines.starts))
                )
                found.reasons.extend(one.reason for one in chunk.dead_letters)
            if log.caught_up:
                return found


def captured() -> list[dict[str, Any]]:
    """Requests of real clients."""
    with gzip.open(CAPTURES) as file:
        return [json.loads(line) for line in file]
