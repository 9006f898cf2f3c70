"""Figures of what is collected, for `/metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

from prometheus_client.core import CounterMetricFamily, Metric

from dataflows.delays import Delays
from serving.histograms import histogram


class Outcome(StrEnum):
    TAKEN = "taken"
    UNKNOWN_SENDER = "unknown_sender"
    REFUSED = "refused"
    TOO_OFTEN = "too_often"
    OVER_CAPACITY = "over_capacity"
    NOT_WRITTEN = "not_written"
    BROKEN_OFF = "broken_off"
    FAULT = "fault"


class Figures:
    """Counted on the server's event loop, looked at from any thread."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, Outcome]] = Counter()
        self._events: Counter[str] = Counter()
        self._letters: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._waits: dict[str, Delays] = {}

    def count_request(self, outcome: Outcome, source: str = "") -> None:
        """One has been answered; `source` is empty if it is not known whose it was."""
        self._requests[source, outcome] += 1

    def count_kept(self, source: str, events: int, letters: int, seconds: float) -> None:
        """So much is on disk, after so many seconds."""
        self._events[source] += events
        self._letters[source] += letters
        self._waits.setdefault(source, Delays()).add(seconds)

    def count_bytes(self, source: str, size: int) -> None:
        """So long was a body, as it was sent."""
        self._bytes[source] += size

    def metrics(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "usher_collector_requests",
            "Requests of clients that send events.",
            labels=["source", "outcome"],
        )
        for (source, outcome), count in sorted(self._requests.items()):
            requests.add_metric([source, outcome], count)
        yield requests
        for name, text, counts in (
            ("events", "Events that are on disk.", self._events),
            ("dead_letters", "What could not be read, and is on disk.", self._letters),
            ("bytes", "Bytes of bodies, as they were sent.", self._bytes),
        ):
            family = CounterMetricFamily(f"usher_collector_{name}", text, labels=["source"])
            for source, count in sorted(counts.items()):
                family.add_metric([source], count)
            yield family
        yield histogram(
            "usher_collector_append_seconds",
            "How long requests waited until what they brought was on disk.",
            "source",
            self._waits,
        )
