"""How Prometheus is told how long things took."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.core import HistogramMetricFamily

from dataflows.delays import Delays


def histogram(
    name: str, text: str, label: str, found: Mapping[str, Delays]
) -> HistogramMetricFamily:
    """One series for each value of the label, in their order."""
    family = HistogramMetricFamily(name, text, labels=[label])
    for value, delays in sorted(found.items()):
        family.add_metric([value], delays.buckets, delays.total)
    return family
