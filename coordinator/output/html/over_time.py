"""Plots of a run against targets over time, and of its response times, from its timeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.output.html.blocks import Block, Plot, Table
from coordinator.output.html.numbers import bands, groups_of, levels, plain, plains, text
from coordinator.output.html.timeline import Timeline
from loadgen.measure.histogram import Histogram, highest_of
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.disturbance import Disturbance

_EACH = 8
"""Up to so many targets have a line each; of more, the worst have."""

_WORST = 6
_MAX_ROWS = 256
_TABLE_ROWS, _TABLE_COLUMNS = 40, 12
_TIME = "seconds since the start of the run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A timeline with what its plots need.

    `names` of the targets; `order` has their indexes, the worst first; `word` is "VM" or "target".  `conformity`:
    whether it may be shown which operations were within the bound; not in a run that has no score.
    """

    timeline: Timeline
    names: Sequence[str]
    order: Sequence[int]
    word: str
    conformity: bool
    disturbance: Disturbance | None

    @property
    def spans_note(self) -> str:
        """How long a column is, and what the shades mean."""
        span_s = self.timeline.span_s
        point = f"Each point covers {span_s} s. " if span_s > 1 else ""
        shades = "Blue shade: measured windows."
        if self.disturbance is not None and self.disturbance.spans:
            shades += " Orange shade: seconds in which a load machine was disturbed."
        return point + shades

    def shades(self) -> list[dict[str, Any]]:
        """The measured and the disturbed spans of time."""
        line = self.timeline
        spans = [] if self.disturbance is None else [(one.first_s, one.last_s + 1) for one in self.disturbance.spans]
        found: list[tuple[float, float]] = []
        for at in np.flatnonzero(line.measured).tolist():
            begin, end = line.first_s + at * line.span_s, line.first_s + (at + 1) * line.span_s
            if found and found[-1][1] == begin:
                found[-1] = (found[-1][0], end)
            else:
                found.append((begin, end))
        return bands(found, "measured") + bands([(float(first), float(end)) for first, end in spans], "disturbed")


def over_time(scene: Scene) -> Iterator[Block]:
    """The plots over time: rate, 99th percentile, conformity, failures; the heat maps of targets."""
    line = scene.timeline
    answered = line.ok + line.failed
    yield _series(scene, "Operations per second", line.ok / line.span_s, "operations/s")
    yield _series(scene, "99th percentile of the response time", line.p99_ms, "ms", log=True, whole=line.p99_all_ms)
    with np.errstate(divide="ignore", invalid="ignore"):
        good = np.where(answered > 0, 100 * line.good / answered, np.nan)
        failed = np.where(answered > 0, 100 * line.failed / answered, np.nan)
    if scene.conformity:
        yield _series(scene, "Requests within the bound, of those that ended", good, "%")
    if line.failed.any():
        yield _series(scene, "Failed requests, of those that ended", failed, "%")
    if len(scene.names) > 1:
        if scene.conformity:
            yield _by_target(scene, "Requests within the bound", good, "%", worst=np.nanmin, low=0.0, high=100.0)
        yield _by_target(scene, "99th percentile of the response time", line.p99_ms, "ms", worst=np.nanmax)
        if line.failed.any():
            yield _by_target(scene, "Failed requests", failed, "%", worst=np.nanmax, low=0.0, high=100.0)


def response_times(scene: Scene) -> Iterator[Block]:
    """How the response times are distributed: over percentiles, and over time."""
    line = scene.timeline
    if line.response.total:
        yield _distribution(line.response, line.service)
    yield _heat_over_time(scene)


def _series(
    scene: Scene, title: str, values: NDArray[np.float64], unit: str, *, log: bool = False, whole: Any = None
) -> Plot:
    """A line for each target, or for the worst of many beside the range of all."""
    line, names = scene.timeline, scene.names
    values = np.where(values > 0, values, np.nan) if log else values
    many = len(names) > _EACH
    shown = scene.order[:_WORST] if many else sorted(scene.order)
    series = [(names[at], values[at]) for at in shown]
    data: dict[str, Any] = {"form": "lines", "x": plains(line.times_s), "xLabel": _TIME, "yLabel": unit, "log": log}
    note, extra = scene.spans_note, []
    if many:
        low, middle, high = (_percentiles(values, q) for q in (10, 50, 90))
        data["spread"] = {"low": plains(low), "high": plains(high)}
        extra = [(f"median {scene.word}", middle), ("10 % below", low), ("90 % below", high)]
        series.append(extra[0])
        note = (
            f"Of {len(names):,} {scene.word}s: the median, the middle 80 % as an area, and the {len(shown)} worst of "
            f"the run as lines. {note}"
        )
    if whole is not None and len(names) > 1:
        series.append((f"all {scene.word}s together", whole))
    data["series"] = [{"name": name, "y": plains(one.tolist())} for name, one in series]
    data["bands"] = scene.shades()
    table = dict(series) | dict(extra)
    says = _says(*series[0], unit)
    return Plot(f"{title}, by {scene.word}", says, data, _table(title, line, table, unit), note)


def _percentiles(values: NDArray[np.float64], q: float) -> NDArray[np.float64]:
    some = ~np.isnan(values).all(axis=0)
    found = np.full(values.shape[1], np.nan)
    found[some] = np.nanpercentile(values[:, some], q, axis=0)
    return found


def _says(name: str, values: NDArray[np.float64], unit: str) -> str:
    known = values[~np.isnan(values)]
    if not len(known):
        return "Nothing was measured."
    return f"{name}: {text(float(known.min()))} to {text(float(known.max()))} {unit}."


def _table(title: str, line: Timeline, series: dict[str, NDArray[np.float64]], unit: str) -> Table:
    rows = [
        (f"{at_s:g}", *(text(float(values[at])) for values in series.values()))
        for at, at_s in enumerate(line.times_s)
        if not all(np.isnan(values[at]) for values in series.values())
    ]
    return Table(f"{title}, {unit}", ("second", *series), tuple(rows))


def _by_target(
    scene: Scene,
    title: str,
    values: NDArray[np.float64],
    unit: str,
    *,
    worst: Any,
    low: float | None = None,
    high: float | None = None,
) -> Plot:
    """A heat map of targets and time; of many targets, a row has the worst of several."""
    line, log = scene.timeline, low is None
    groups = groups_of(len(scene.names), _MAX_ROWS)
    rows = np.array([_worst(values[group], worst) for group in groups])
    known = rows[rows > 0] if log else rows[~np.isnan(rows)]
    least = low if low is not None else float(known.min()) if len(known) else 0.01
    most = high if high is not None else max(float(known.max()) if len(known) else 1.0, least * 1.05)
    several = len(groups[0]) > 1
    end_s = line.first_s + line.length_s
    data = {
        "form": "heat",
        "rows": len(groups),
        "columns": rows.shape[1],
        "from": line.first_s,
        "to": end_s,
        "low": plain(least),
        "high": plain(most),
        "log": log,
        "levels": levels(rows, least, most, log=log),
        "ticks": [{"at": at + 0.5, "label": scene.names[int(group[0])]} for at, group in enumerate(groups)],
        "down": True,
        "scheme": "viridis" if worst is np.nanmin else "YlOrRd",
        "label": f"{title}, {unit}",
        "xLabel": _TIME,
    }
    word = scene.word
    note = f"Each row is the worst of {len(groups[0])} {word}s next to one another. " if several else ""
    note += f"Each column covers {line.span_s} s. " if line.span_s > 1 else ""
    note += f"Empty where no request of the {word} ended."
    bad = scene.names[scene.order[0]]
    says = f"{len(scene.names):,} {word}s over {line.length_s} s; the worst of the run is {bad}."
    table = _target_table(scene, title, values, unit, worst)
    return Plot(f"{title}: {word} by time", says, data, table, note)


def _worst(values: NDArray[np.float64], worst: Any) -> NDArray[np.float64]:
    some = ~np.isnan(values).all(axis=0)
    found = np.full(values.shape[1], np.nan)
    found[some] = worst(values[:, some], axis=0)
    return found


def _target_table(scene: Scene, title: str, values: NDArray[np.float64], unit: str, worst: Any) -> Table:
    line = scene.timeline
    parts = groups_of(values.shape[1], _TABLE_COLUMNS)
    head = [f"from {line.first_s + int(part[0]) * line.span_s} s" for part in parts]
    rows = []
    for at in scene.order[:_TABLE_ROWS]:
        own = [_worst(values[at, part][:, np.newaxis], worst)[0] for part in parts]
        rows.append((scene.names[at], *(text(float(one)) for one in own)))
    left = len(scene.names) - len(rows)
    note = f"The worst moment of each span of time. {f'{left:,} better ones are left out.' if left > 0 else ''}"
    return Table(f"{title}, {unit}, the worst {scene.word} first", (scene.word, *head), tuple(rows), note.strip())


_MARKS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999, 100.0)
_POINTS = 160


def _distribution(response: Histogram, service: Histogram) -> Plot:
    series = [("response (due to done)", response), ("service (sent to done)", service)]
    series = [(name, one) for name, one in series if one.total]
    data = {
        "form": "percentiles",
        "yLabel": "ms",
        "series": [{"name": name, **dict(zip("xy", _curve(one), strict=True))} for name, one in series],
    }
    marks = [q for q in _MARKS if q == 100 or response.total * (1 - q / 100) >= 1]
    rows = tuple(
        ("maximum" if q == 100 else f"{q:g} %", *(text(_ms(one.percentile_ns(q))) for _, one in series)) for q in marks
    )
    says = ", ".join(f"{q:g} % within {text(_ms(response.percentile_ns(q)))} ms" for q in (50, 90, 99)) + "."
    note = (
        f"{response.total:,} requests that ended in measured windows. The axis stretches the slowest: 90, 99, 99.9 % "
        "are equally far apart. A failed or cut request counts with the time until then, a lower bound."
    )
    table = Table("Response and service times, ms", ("percentile", *(name for name, _ in series)), rows)
    return Plot("Times by percentile", says, data, table, note)


def _curve(times: Histogram) -> tuple[list[float | None], list[float | None]]:
    """Percentiles and times in ms: at most _POINTS, close to one another where the axis is stretched."""
    reached = np.cumsum(times.counts) / times.total
    last = 1 - 0.5 / times.total  # 100 % has no place on the axis
    reached = np.minimum(reached, last)
    places = -np.log10(1 - reached)
    wanted = np.linspace(0, places[-1], _POINTS)
    picked = np.unique(np.minimum(np.searchsorted(places, wanted), len(places) - 1))
    values = highest_of(times.indexes.astype(np.int64))[picked] / NS_PER_MS
    values[-1] = times.max_ns / NS_PER_MS
    return [float(f"{100 * one:.8g}") for one in reached[picked]], plains(values.tolist())


def _ms(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / NS_PER_MS


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
        "low": plain(low),
        "high": 100,
        "log": True,
        "levels": levels(share, low, 100.0, log=True),
        "ticks": [{"at": at, "label": f"{text(float(f'{edges[at]:.2g}'))} ms"} for at in range(0, rows + 1, 8)],
        "down": False,
        "scheme": "Blues",
        "label": "% of the requests of that time",
        "xLabel": _TIME,
    }
    head, cells = ["response time up to, ms"], []
    parts = groups_of(columns, _TABLE_COLUMNS)
    head += [f"from {line.first_s + int(part[0]) * line.span_s} s" for part in parts]
    for row in range(0, rows, 4):
        own = [int(line.heat[row : row + 4, part].sum()) for part in parts]
        cells.append((text(float(edges[min(row + 4, rows)])), *(f"{one:,}" for one in own)))
    says = f"From {text(float(edges[0]))} to {text(float(edges[-1]))} ms over {line.length_s} s."
    note = "Lower bounds of failed and cut requests are among the times." + (
        f" Each column covers {line.span_s} s." if line.span_s > 1 else ""
    )
    return Plot("Response times over time", says, data, Table("Requests", tuple(head), tuple(cells)), note)
