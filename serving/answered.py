"""Figures of what the APIs answer: which path, with which status, after how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from dataflows.delays import Delays
from serving.histograms import histogram


class Answered:
    """Counted on the server's event loop, looked at from any thread.

    Paths are those of the document, with the names of what stands in them; it is empty where there
    is none.
    """

    def __init__(self) -> None:
        self._statuses: Counter[tuple[str, int]] = Counter()
        self._delays: dict[str, Delays] = {}

    def add(self, path: str, status: int, seconds: float) -> None:
        """So long did it take until the answer to a request began."""
        self._statuses[path, status] += 1
        self._delays.setdefault(path, Delays()).add(seconds)

    def metrics(self) -> Iterator[Metric]:
        statuses = CounterMetricFamily(
            "usher_http_requests",
            "Requests to the APIs that were answered.",
            labels=["path", "status"],
        )
        for (path, status), count in sorted(self._statuses.items()):
            statuses.add_metric([path, str(status)], count)
        yield statuses
        yield histogram(
            "usher_http_answer_seconds",
            "How long requests to the APIs waited for the begin of the answer.",
            "path",
            self._delays,
        )
