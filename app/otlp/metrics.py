"""The metrics of `/metrics`, sent as they are: one registry, two ways to read it."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import export as sdk
from prometheus_client import REGISTRY

from app.otlp.collector import SCOPE, SECONDS, address
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.sdk.resources import Resource
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.samples import Sample

_EVERY_SECONDS = 15.0
_STARTED = time.time_ns()
_CUMULATIVE = sdk.AggregationTemporality.CUMULATIVE


class OtlpMetrics:
    """Sends the registry of one process."""

    def __init__(self, endpoint: str, sender: Resource, registry: CollectorRegistry = REGISTRY) -> None:
        self._exporter = OTLPMetricExporter(address(endpoint, "metrics"), timeout=SECONDS)
        self._sender = sender
        self._registry = registry

    async def run(self) -> None:
        """Send for as long as the process lives; a collector that is away misses figures, no more."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await asyncio.to_thread(self.send)
            except Exception:
                log.exception("metrics_failed")

    def send(self) -> None:
        """Send the figures of this moment; blocks."""
        found = sdk.MetricsData(
            [sdk.ResourceMetrics(self._sender, [sdk.ScopeMetrics(SCOPE, list(self._metrics()), "")], "")]
        )
        self._exporter.export(found)

    def close(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()

    def _metrics(self) -> Iterator[sdk.Metric]:
        now = time.time_ns()
        for family in self._registry.collect():
            data: sdk.Sum | sdk.Gauge | sdk.Histogram
            match family.type:
                case "counter":
                    name = f"{family.name}_total"
                    points = list(_numbers(family, name, now))
                    data = sdk.Sum(points, _CUMULATIVE, is_monotonic=True)
                case "gauge":
                    name = family.name
                    points = list(_numbers(family, name, now))
                    data = sdk.Gauge(points)
                case "histogram":
                    name = family.name
                    data = sdk.Histogram(list(_histograms(family, now)), _CUMULATIVE)
                case _:
                    continue
            if data.data_points:
                yield sdk.Metric(name, family.documentation, "", data)


def _numbers(family: Family, name: str, now: int) -> Iterator[sdk.NumberDataPoint]:
    for sample in family.samples:
        if sample.name == name and not math.isnan(sample.value):
            yield sdk.NumberDataPoint(sample.labels, _STARTED, now, sample.value)


def _histograms(family: Family, now: int) -> Iterator[sdk.HistogramDataPoint]:
    for labels, samples in _by_labels(family.samples).items():
        figures = {one.name: one.value for one in samples}
        bounds = [float(one.labels["le"]) for one in samples if "le" in one.labels]
        totals = [int(one.value) for one in samples if "le" in one.labels]
        counts = [total - before for before, total in zip([0, *totals], totals, strict=False)]
        yield sdk.HistogramDataPoint(
            attributes=dict(labels),
            start_time_unix_nano=_STARTED,
            time_unix_nano=now,
            count=int(figures[f"{family.name}_count"]),
            sum=figures[f"{family.name}_sum"],
            bucket_counts=counts,
            explicit_bounds=bounds[:-1],  # the last one is infinite, and not told
            min=math.nan,
            max=math.nan,
        )


def _by_labels(samples: Iterable[Sample]) -> dict[tuple[tuple[str, str], ...], list[Sample]]:
    found: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in samples:
        labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        found.setdefault(labels, []).append(sample)
    return found
