"""Writes metrics in the two text formats that Prometheus reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from coordinator.output.live_counters import EXTRAS
from coordinator.output.live_metrics import METRICS, Metric, Sample, samples_of
from coordinator.output.watched import Watched

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_SUFFIX = {"counter": "_total", "info": "_info"}
_UNITS = ("seconds", "bytes", "ratio")


def content_type(accept: str) -> str:
    """The format that a client asks for by its header Accept: OpenMetrics where it is named, else the plain format."""
    return OPEN_METRICS if "application/openmetrics-text" in accept else PLAIN


def type_of(metric: Metric) -> str:
    """The type of a metric of a view: only a summary may have quantiles; all others are gauges."""
    return "summary" if "quantile" in metric.labels else "gauge"


def sample_name(metric: Metric, of_type: str) -> str:
    """The name of the samples of a metric."""
    return metric.prometheus + _SUFFIX.get(of_type, "")


def write_metrics(watched: Watched, form: str = PLAIN) -> str:
    """All metrics that have samples at this moment, in the format `form` (PLAIN or OPEN_METRICS)."""
    opened = form == OPEN_METRICS
    lines: list[str] = []
    for extra in EXTRAS:
        lines += _lines(extra.metric, extra.type, extra.samples(watched), opened)
    found: dict[Metric, list[Sample]] = {}
    for sample in () if watched.view is None else samples_of(watched.view):
        found.setdefault(sample.metric, []).append(sample)
    for metric in METRICS:
        lines += _lines(metric, type_of(metric), found.get(metric, ()), opened)
    return "\n".join([*lines, *(["# EOF"] if opened else []), ""])


def _lines(metric: Metric, of_type: str, samples: Iterable[Sample], opened: bool) -> list[str]:
    ordered = _together(samples) if of_type == "summary" else samples
    written = list(_samples(sample_name(metric, of_type), metric.labels, ordered))
    if not written:
        return []
    # OpenMetrics names the family; the plain format names what the samples are called, and has no type `info`.
    name = metric.prometheus if opened else sample_name(metric, of_type)
    shown = "gauge" if of_type == "info" and not opened else of_type
    heading = [f"# HELP {name} {_escaped(metric.meaning, opened)}", f"# TYPE {name} {shown}"]
    unit = name.rpartition("_")[2]
    if opened and unit in _UNITS:
        heading.append(f"# UNIT {name} {unit}")
    return heading + written


def _together(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples of summaries, those of each summary one after the other, as OpenMetrics demands."""
    by_rest: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        rest = tuple(value for name, value in sample.labels.items() if name != "quantile")
        by_rest.setdefault(rest, []).append(sample)
    for group in by_rest.values():
        yield from group


def _samples(name: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> Iterator[str]:
    seen: set[tuple[str, ...]] = set()
    for sample in samples:
        values = tuple(sample.labels[label] for label in labels)
        if values in seen:  # two targets of the same name: a second sample with equal labels would spoil the whole page
            values = _another(values, seen)
        seen.add(values)
        yield f"{name}{_labels(labels, values)} {_number(sample.value)}"


def _another(values: tuple[str, ...], seen: set[tuple[str, ...]]) -> tuple[str, ...]:
    number = 2
    while (other := (f"{values[0]} ({number})", *values[1:])) in seen:
        number += 1
    return other


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not names:
        return ""
    return "{" + ",".join(f'{name}="{_value(text)}"' for name, text in zip(names, values, strict=True)) + "}"


def _value(text: str) -> str:
    """A label's value; a character that UTF-8 cannot hold is replaced."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    if "\\" in text or '"' in text or "\n" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text


def _escaped(text: str, opened: bool) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if opened else text


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))
