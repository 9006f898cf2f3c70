"""A story whose events are collected into a log, by a writer that is not the job.

The writer's clock says of each event when it was received; so its arrival is known beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectors.collected.log import CollectedLog
from tests import oracle
from tests.collected.logs import folder_of
from tests.faults.story import Story, definition_of

SOURCE = {"type": "http", "format": "segment", "write_keys": ["k"]}


# Of a job beside whoever collects.
BESIDE = ("--only", "evaluate,deliver")


class LogStory(Story):
    arguments = BESIDE

    def __init__(self, root: Path, seed: int, **sections: Any) -> None:
        super().__init__(root, seed, definition_of(sources={"web": SOURCE}, **sections))
        self._arrival = 0
        self.open()

    def open(self) -> None:
        """Begin to collect, perhaps again."""
        self._log = CollectedLog(folder_of(self.root), "segment", clock=lambda: self._arrival)

    def close(self) -> None:
        self._log.close()

    def write(self, lines: Sequence[str], events: Sequence[oracle.Event]) -> None:
        for line, event in zip(lines, events, strict=True):
            self._arrival = event.arrival
            self._log.append([json.loads(line)]).result()
