"""A live view as metrics of OpenTelemetry's SDK."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Iterable
from typing import Any

from opentelemetry.sdk.metrics.export import (
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from coordinator.output.live_metrics import Sample
from loadgen import __version__


def message_of(samples: Iterable[Sample], time_ns: int) -> MetricsData:
    """All samples as gauges of the moment `time_ns` since the epoch; of samples with equal labels, the first counts."""
    points: dict[Any, dict[tuple[str, ...], NumberDataPoint]] = {}
    for sample in samples:
        own = points.setdefault(sample.metric, {})
        point = NumberDataPoint(
            attributes={name: _as_text(value) for name, value in sample.labels.items()},
            start_time_unix_nano=0,
            time_unix_nano=time_ns,
            value=float(sample.value),
        )
        own.setdefault(tuple(sample.labels.values()), point)
    metrics = [
        Metric(name=metric.otlp, description=metric.meaning, unit=metric.unit, data=Gauge(list(some.values())))
        for metric, some in points.items()
    ]
    scope = ScopeMetrics(scope=InstrumentationScope("loadgen", __version__), metrics=metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource=_resource(), scope_metrics=[scope], schema_url="")])


@functools.cache
def _resource() -> Resource:
    """What the metrics are of: this process.  OTEL_RESOURCE_ATTRIBUTES adds to it, as everywhere."""
    return Resource.create(
        {
            "service.name": "loadgen",
            "service.version": __version__,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )


def _as_text(label: str) -> str:
    """A label that UTF-8 can hold: names of targets may come from names of files."""
    return label if label.isascii() else label.encode("utf-8", "replace").decode()
