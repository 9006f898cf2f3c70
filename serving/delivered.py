"""Figures of deliveries, as the store has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from audience_dsl.instants import SECOND
from delivery.standings import Standing
from membership.deliveries import SyncStatus

_LABELS = ["sync"]


def delivery_metrics(found: Sequence[Standing]) -> Iterator[Metric]:
    """Of syncs that a job has begun, and of the letters of all."""
    states = GaugeMetricFamily(
        "usher_sync_status", "1 for the status that a sync is in.", labels=[*_LABELS, "status"]
    )
    messages = CounterMetricFamily(
        "usher_sync_messages",
        "Messages by what became of them; retried ones are among those that were sent.",
        labels=[*_LABELS, "outcome"],
    )
    behind = _gauge("transitions_behind", "Transitions of the journal still to be looked at.")
    lag = _gauge("lag_seconds", "Age of the first of them.")
    parked = _gauge("parked", "Messages that wait for another try.")
    letters = _gauge("dead_letters", "Messages that were given up and not sent again.")
    for one in found:
        key = one.sync.key
        letters.add_metric([key], one.dead_letters)
        parked.add_metric([key], one.parked)
        if one.state is None or one.lag is None:
            continue
        for status in SyncStatus:
            states.add_metric([key, str(status)], float(status is one.state.status))
        for outcome in ("sent", "failed", "retried", "dead"):
            messages.add_metric([key, outcome], getattr(one.state, outcome))
        behind.add_metric([key], one.lag.transitions)
        lag.add_metric([key], one.lag.age / SECOND)
    yield from (states, messages, behind, lag, parked, letters)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"usher_sync_{name}", text, labels=_LABELS)
