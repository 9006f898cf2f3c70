"""`/metrics`: figures for Prometheus, read when they are asked for.

They name audiences, parent models and states, and nobody: no figure is about one user.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typing_extensions import override

from audience_dsl.instants import SECOND
from connectors.wall_clock import wall_clock
from dataflows.progress import Progress
from delivery.standings import standings
from membership.errors import StoreError
from membership.reader import MembershipReader
from schedules.facts import states_of
from schedules.freshness import Freshness, State, freshness_of
from serving.certificates import Renewing
from serving.collecting.figures import Figures
from serving.delivered import delivery_metrics
from serving.health import Health
from serving.histograms import histogram
from serving.service import Service
from warehouse.history import Status
from warehouse.refresh import history_of

# Counting members reads an index of all of them, so it has this share of the time at most.
_COUNTING = 0.02


class Metrics(Collector):
    def __init__(
        self, service: Service, health: Health, collected: Figures, shown: Renewing | None
    ) -> None:
        self._service = service
        self._collected = collected
        self._health = health
        self._shown = shown
        self._members = _Members(service)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self.routes = [Route("/metrics", self.metrics, methods=["GET"])]

    def metrics(self, _request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def describe(self) -> list[Metric]:
        """What there is depends on the project; nothing else is in the registry."""
        return []

    @override
    def collect(self) -> Iterator[Metric]:
        yield _gauge("usher_ready", "Whether the server is ready.", not self._health.reasons())
        yield self._of_certificate()
        yield from self._of_job()
        yield from self._of_store()
        yield from self._of_warehouse()
        yield from self._collected.metrics()
        yield from self._service.answered.metrics()

    def _of_certificate(self) -> Metric:
        shown = self._shown
        return GaugeMetricFamily(
            "usher_certificate_expires_timestamp_seconds",
            "Until when the certificate is valid that the server shows.",
            value=None if shown is None else shown.valid_until / SECOND,
        )

    def _of_job(self) -> Iterator[Metric]:
        progress = self._service.progress
        if progress is None:
            return
        counts = progress.counts
        for name, text in _RECORDS.items():
            yield _counter(f"usher_events_{name}", text, getattr(counts, name))
        yield from _of_sources(progress)
        yield histogram(
            "usher_transition_delay_seconds",
            "How long after their instants transitions of these causes were recorded.",
            "cause",
            {"event": progress.after_events, "window_expired": progress.after_windows},
        )
        if progress.clock is not None:
            lag = (wall_clock() - progress.clock) / SECOND
            yield _gauge("usher_clock_lag_seconds", "How far the job's clock is behind.", lag)

    def _of_store(self) -> Iterator[Metric]:
        try:
            end = self._service.read(MembershipReader.end)
            counted = self._members.counted()
            known = self._service.loaded.project.syncs
            syncs = [known[key] for key in sorted(known)]
            standing = self._service.read(lambda store: standings(syncs, store, wall_clock()))
        except StoreError:
            return  # /readyz says so
        yield _counter("usher_transitions", "Transitions ever recorded in the journal.", end)
        members = GaugeMetricFamily(
            "usher_audience_members", "Members.", labels=["parent_model", "audience"]
        )
        for (parent, audience), count in counted.items():
            members.add_metric([parent, audience], count)
        yield members
        yield from delivery_metrics(standing)

    def _of_warehouse(self) -> Iterator[Metric]:
        labels = ["parent_model"]
        states = GaugeMetricFamily(
            "usher_audience_freshness",
            "1 for the state that an audience is in.",
            labels=[*labels, "audience", "state"],
        )
        pulls = GaugeMetricFamily(
            "usher_pulls", "Pulls that are remembered.", labels=[*labels, "status", "trigger"]
        )
        figures = {
            name: GaugeMetricFamily(f"usher_{name}", text, labels=labels)
            for name, text in _FIGURES.items()
        }
        now = wall_clock()
        for parent, plan in self._service.plans.items():
            found = freshness_of(self._service.loaded.root, plan, now)
            for audience, state in states_of(plan, found).items():
                for one in State:
                    states.add_metric([parent, audience, one], float(one is state))
            history = history_of(self._service.loaded.root, plan.parent_model).pulls()
            kinds = Counter((one.status, one.trigger) for one in history)
            for (status, trigger), count in sorted(kinds.items()):
                pulls.add_metric([parent, status, trigger], count)
            for name, value in _figures(found, now).items():
                figures[name].add_metric([parent], value)
        yield from (states, pulls, *figures.values())


# Each record that was read is one of the next five; those that are ahead are among the matched.
_RECORDS = {
    "read": "Records read from sources.",
    "matched": "Records that are events, and were evaluated.",
    "ignored": "Records that nobody asks for.",
    "duplicate": "Events that had come before.",
    "late": "Events too old to change anything.",
    "invalid": "Records that cannot be read.",
    "ahead": "Events dated later than their arrival.",
}

_FIGURES = {
    "snapshot_age_seconds": "Since the rows of the snapshot in force were read.",
    "snapshot_rows": "Rows of the snapshot in force.",
    "last_pull_succeeded": "Whether the last pull that has ended has succeeded.",
    "last_pull_duration_seconds": "How long the last pull took that has ended.",
    "last_pull_rows": "How many rows the last pull had.",
    "next_pull_timestamp_seconds": "When the next pull is due.",
}


def _of_sources(progress: Progress) -> Iterator[Metric]:
    read = CounterMetricFamily(
        "usher_source_records", "Records read, by source.", labels=["source"]
    )
    letters = CounterMetricFamily(
        "usher_source_dead_letters",
        "Those of them that cannot be read, by what is wrong with them.",
        labels=["source", "reason"],
    )
    lag = GaugeMetricFamily(
        "usher_source_lag_seconds",
        "Age of the latest instant up to which a source has been read.",
        labels=["source"],
    )
    for source, counts in sorted(progress.sources.items()):
        read.add_metric([source], counts.read)
        for reason, count in sorted(counts.invalid.items()):
            letters.add_metric([source, reason], count)
    now = wall_clock()
    for source, instant in sorted(progress.reached.items()):
        lag.add_metric([source], max(0.0, (now - instant) / SECOND))
    yield from (read, letters, lag)


def _figures(found: Freshness, now: int) -> dict[str, float]:
    """Those that are known."""
    figures = {"next_pull_timestamp_seconds": found.next_pull / SECOND}
    if found.snapshot is not None:
        figures["snapshot_age_seconds"] = (now - found.snapshot.manifest.read_at) / SECOND
        figures["snapshot_rows"] = found.snapshot.rows
    if found.last is not None:
        figures["last_pull_succeeded"] = found.last.status is Status.SUCCEEDED
        if found.last.duration is not None:
            figures["last_pull_duration_seconds"] = found.last.duration / SECOND
        if found.last.rows is not None:
            figures["last_pull_rows"] = found.last.rows
    return figures


class _Members:
    """How many members each audience has, by parent model and key; counted now and then."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, str], int] = {}
        self._due = 0.0

    def counted(self) -> dict[tuple[str, str], int]:
        with self._lock:
            began = time.monotonic()
            if began >= self._due:
                self._counted = {
                    (parent, one.key): known.get(one.key, 0)
                    for parent, plan in self._service.plans.items()
                    for known in [self._service.read(partial(_counts, parent))]
                    for one in plan.plan.audiences
                }
                took = time.monotonic() - began
                self._due = began + took / _COUNTING
            return self._counted


def _counts(parent: str, reader: MembershipReader) -> dict[str, int]:
    return reader.counts(parent)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
