"""Plots of how the response times of a run against targets are distributed: over percentiles, and over time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from coordinator.output.html.blocks import Block, Plot, Table
from coordinator.output.html.numbers import bounded, groups_of, levels, plain, plains, text
from coordinator.output.html.over_time import TABLE_COLUMNS, TIME, Scene
from loadgen.measure.censored import Span, Times
from loadgen.measure.histogram import Histogram, highest_of
from loadgen.model.units import NS_PER_MS

_MARKS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999, 100.0)
_POINTS = 160
_EXACT = 1.01
"""A time whose upper bound is higher than its lower bound by more is shown as a lower bound."""


def response_times(scene: Scene) -> Iterator[Block]:
    """How the response times are distributed: over percentiles, and over time."""
    line = scene.timeline
    if line.response.total:
        yield _distribution(line.response, line.service)
    yield _heat_over_time(scene)


def _distribution(response: Times, service: Times) -> Plot:
    series = [("response (due to done)", response), ("service (sent to done)", service)]
    series = [(name, one) for name, one in series if one.total]
    data = {
        "form": "percentiles",
        "yLabel": "ms",
        "series": [{"name": name, **dict(zip("xy", _curve(one.lowest()), strict=True))} for name, one in series],
    }
    marks = [q for q in _MARKS if q == 100 or response.total * (1 - q / 100) >= 1]
    rows = tuple(
        ("maximum" if q == 100 else f"{q:g} %", *(_time(one.percentile(q)) for _, one in series)) for q in marks
    )
    says = ", ".join(_says(q, response.percentile(q)) for q in (50, 90, 99)) + "."
    note = (
        f"{response.total:,} requests of measured windows, those that were still waiting at the end too. The axis "
        "stretches the slowest: 90, 99, 99.9 % are equally far apart."
    )
    if response.failed.total or response.cut.total:
        note += (
            " A failed or cut request counts with the time until then, a lower bound. In the table, ≥ says that the "
            "true time may be longer."
        )
    table = Table("Response and service times, ms", ("percentile", *(name for name, _ in series)), rows)
    return Plot("Times by percentile", says, data, table, note)


def _says(q: float, span: Span | None) -> str:
    if span is None:
        return f"{q:g} % within - ms"
    if _is_open(span):
        return f"the {q:g} % percentile is at least {text(span.low / NS_PER_MS)} ms"
    return f"{q:g} % within {text(span.low / NS_PER_MS)} ms"


def _time(span: Span | None) -> str:
    return bounded(None if span is None else span.low / NS_PER_MS, least=span is not None and _is_open(span))


def _is_open(span: Span) -> bool:
    return math.isinf(span.high) or span.high > _EXACT * span.low


def _curve(times: Histogram) -> tuple[list[float | None], list[float | None]]:
    """Places on the axis and times in ms: at most _POINTS, close to one another where the axis is stretched.

    The place of a percentile is the number of its nines: 1 for 90 %, 2 for 99 %.  As a percentage, those of many
    million requests could not be told from 100 %, which has no place.
    """
    beyond = (times.total - np.cumsum(times.counts)) / times.total
    places = -np.log10(np.maximum(beyond, 0.5 / times.total))
    wanted = np.linspace(0, places[-1], _POINTS)
    picked = np.unique(np.minimum(np.searchsorted(places, wanted), len(places) - 1))
    values = highest_of(times.indexes.astype(np.int64))[picked] / NS_PER_MS
    values[-1] = times.max_ns / NS_PER_MS
    return plains(places[picked].tolist()), plains(values.tolist())


def _heat_over_time(scene: Scene) -> Plot:
    line = scene.timeline
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 100 * line.heat / line.heat.sum(axis=0)
    share = np.where(line.heat > 0, share, np.nan)
    rows, columns = line.heat.shape
    known = share[~np.isnan(share)]
    low = max(0.01, float(known.min())) if len(known) else 0.01
    edges = line.edges_ms
    data = {
        "form": "heat",
        "rows": rows,
        "columns": columns,
        "from": line.first_s,
        "to": line.first_s + line.length_s,
        "span": line.span_s,
        "low": plain(low),
        "high": 100,
        "log": True,
        "levels": levels(share, low, 100.0, log=True),
        "ticks": [{"at": at, "label": f"{text(float(f'{edges[at]:.2g}'))} ms"} for at in range(0, rows + 1, 8)],
        "down": False,
        "scheme": "Blues",
        "label": "% of the requests of that time",
        "xLabel": TIME,
    }
    head, cells = ["response time up to, ms"], []
    parts = groups_of(columns, TABLE_COLUMNS)
    head += [f"from {line.first_s + int(part[0]) * line.span_s} s" for part in parts]
    for row in range(0, rows, 4):
        own = [int(line.heat[row : row + 4, part].sum()) for part in parts]
        cells.append((text(float(edges[min(row + 4, rows)])), *(f"{one:,}" for one in own)))
    says = f"From {text(float(edges[0]))} to {text(float(edges[-1]))} ms over {line.length_s} s."
    note = "Lower bounds of failed and cut requests are among the times." + (
        f" Each column {line.covers}." if line.covers else ""
    )
    return Plot("Response times over time", says, data, Table("Requests", tuple(head), tuple(cells)), note)
