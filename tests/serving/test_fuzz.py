"""Whatever is posted to a server, it answers, goes on, and keeps what it has acknowledged.

2,000 bodies in each run, 200,000 in `make soak`.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterable
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any

from connectors.collected.folder import log_folder
from connectors.collected.source import CollectedSource
from connectors.wall_clock import wall_clock
from tests.cli.jobs import running
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, ask, loaded_from, metrics, new_key, pulled
from tests.serving.collected import SOURCES
from tests.serving.harm import Harm, Sent, names_in
from tests.serving.test_job import addresses

BODIES = int(os.environ.get("USHER_FUZZ_BODIES", "2000"))
SENDERS, ROUND = 4, 100

OTHERS: dict[str, Any] = {
    "/v1/audiences/users": {"user_ids": ["u1", "u2"], "include": ["details"]},
    "/v1/tokens": {"parent_model": "users", "user_id": "u1", "expires_in": 60},
    "/v1/collections/profiles/records": {"index": "user_id", "values": ["u1"], "fields": ["ltv"]},
    "/v1/warehouse/users/pulls": {"full": "at once"},
}


class Sender(threading.Thread):
    """Posts some, and notes what was answered."""

    def __init__(self, host: str, bodies: Iterable[Sent]) -> None:
        super().__init__(daemon=True)
        self._host = host
        self._bodies = bodies
        self.statuses: list[tuple[str, int]] = []
        self.named: set[str] = set()
        self.unreadable = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            with closing(http.client.HTTPConnection(self._host, timeout=60)) as line:
                for one in self._bodies:
                    self._post(line, one)
        except Exception as error:  # noqa: BLE001  told to who waits
            self.failure = error

    def _post(self, line: http.client.HTTPConnection, one: Sent) -> None:
        line.request("POST", one.path, one.body, one.headers)
        answer = line.getresponse()
        content = answer.read()
        self.statuses.append((one.path, answer.status))
        if answer.status >= 400:
            json.loads(content)
        elif one.path not in OTHERS:
            names = names_in(one.body)
            if names is None:
                self.unreadable += 1
            else:
                self.named |= names


class Logs:
    """What has come into the logs of all sources since the last look."""

    def __init__(self, root: Path, held: ExitStack) -> None:
        self._readers = [
            held.enter_context(closing(CollectedSource(log_folder(root, key), key, 0).follow([])))
            for key in SOURCES
        ]
        self.records = 0

    def news(self) -> tuple[set[str], int]:
        """Names of events, and how many others could not be read."""
        names, letters = set(), 0
        for reader in self._readers:
            while True:
                for chunk in reader.poll(1 << 20):
                    letters += len(chunk.dead_letters)
                    for number in range(len(chunk.lines.starts)):
                        event = json.loads(bytes(chunk.line(number)))
                        names.add(str(event.get("messageId", event.get("event_id"))))
                        self.records += 1
                if reader.caught_up:
                    break
        self.records += letters
        return names, letters


def test_whatever_is_posted_is_answered_and_what_is_taken_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "project"
    rates = ("per_key", "per_address", "collector_per_address")
    limits = dict.fromkeys(rates, 1_000_000)
    sections: dict[str, Any] = {
        "sources": SOURCES,
        "serving": {**ANYWHERE, "limits": limits},
        "collections": {"profiles": {"parent_model": "users"}},
    }
    write_project(root, changed(**sections))
    loaded = loaded_from(root)
    pulled(loaded, wall_clock())
    key = new_key(loaded, "admin")
    with running(root, "--only", "serve") as job, ExitStack() as held:
        url, figures = addresses(job)
        host = url.removeprefix("http://")
        harms = [
            iter(Harm(seed, OTHERS, {"Authorization": f"Bearer {key}"})) for seed in range(SENDERS)
        ]
        logs = Logs(root, held)
        sizes, taken, named = [], 0, 0
        for number in range(BODIES // SENDERS // ROUND):
            senders = [Sender(host, islice(each, ROUND)) for each in harms]
            for one in senders:
                one.start()
            for one in senders:
                one.join()
                assert one.failure is None, (one.failure, job.errors())
                odd = {each for each in one.statuses if not 200 <= each[1] < 500}
                assert not odd, job.errors()
            names, letters = logs.news()
            lost = set.union(*(one.named for one in senders)) - names
            unreadable = sum(one.unreadable for one in senders)
            assert len(lost) + unreadable <= letters, (number, lost, unreadable, letters)
            taken += sum(each == 200 for one in senders for _, each in one.statuses)
            named += sum(len(one.named) for one in senders)
            sizes.append(resident(job.process.pid))
        told = metrics(f"{figures}")
        kept = ("usher_collector_events_total", "usher_collector_dead_letters_total")
        assert sum(value for name, value in told.items() if name.startswith(kept)) == logs.records
        assert ask(f"{url}/livez").status_code == 200
        print(
            f"{BODIES:,} bodies, {taken:,} taken with {named:,} events that are known again, "
            f"{logs.records:,} records, {sizes[0]:,} to {sizes[-1]:,} bytes"
        )
        assert taken > BODIES / 2
        assert named > BODIES / 2
        # It is as large as it was after a tenth of them, but for what it may remember.
        assert sizes[-1] - sizes[len(sizes) // 10] < 150 << 20
        assert "fault" not in job.errors()
        assert job.stop() == 0


def resident(process: int) -> int:
    """Bytes of memory."""
    (line,) = (
        one
        for one in Path(f"/proc/{process}/status").read_text().splitlines()
        if one.startswith("VmRSS")
    )
    return int(line.split()[1]) << 10
