"""Plots of a run against targets over time, by target, from its timeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.output.html.blocks import Block, Plot, Table
from coordinator.output.html.numbers import NOTHING, bands, groups_of, levels, plain, plains, text
from coordinator.output.html.timeline import Timeline
from loadgen.verdict.disturbance import Disturbance

TABLE_COLUMNS = 12
TIME = "seconds since the start of the run"

_EACH = 8
"""Up to so many targets have a line each; of more, the worst have."""

_WORST = 6
_MAX_ROWS = 256
_TABLE_ROWS = 40
_SILENT = "silent"
_HANGS = "A request counts where it ended: one that hangs is seen only when it fails or is cut."


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
        covers = self.timeline.covers
        point = f"Each point {covers}. " if covers else ""
        shades = "Blue shade: measured windows."
        if self.disturbance is not None and self.disturbance.spans:
            shades += " Orange shade: seconds in which a load machine was disturbed."
        return point + shades

    @property
    def silent(self) -> NDArray[np.bool_]:
        """Where no operation of a target ended in a measured column, shape (targets, columns)."""
        line = self.timeline
        found: NDArray[np.bool_] = line.measured & (line.ok + line.failed == 0)
        return found

    def shades(self) -> list[dict[str, Any]]:
        """The measured and the disturbed spans of time."""
        line = self.timeline
        spans = [] if self.disturbance is None else [(one.first_s, one.last_s + 1) for one in self.disturbance.spans]
        found: list[tuple[float, float]] = []
        for at in np.flatnonzero(line.measured).tolist():
            begin, end = line.span_of(at, at)
            if found and found[-1][1] == begin:
                found[-1] = (found[-1][0], end)
            else:
                found.append((begin, end))
        return bands(found, "measured") + bands([(float(first), float(end)) for first, end in spans], "disturbed")


def over_time(scene: Scene) -> Iterator[Block]:
    """The plots over time: rate, 99th percentile, conformity, failures; the heat maps of targets."""
    line = scene.timeline
    answered = line.ok + line.failed
    slow = "99th percentile of the response time"
    yield _series(scene, "Operations per second", line.ok / line.lengths_s, "operations/s")
    yield _series(scene, slow, line.p99_ms, "ms", log=True, whole=line.p99_all_ms, more=_HANGS)
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
        yield _by_target(scene, slow, line.p99_ms, "ms", worst=np.nanmax, more=_HANGS)
        if line.failed.any():
            yield _by_target(scene, "Failed requests", failed, "%", worst=np.nanmax, low=0.0, high=100.0)


def _series(
    scene: Scene,
    title: str,
    values: NDArray[np.float64],
    unit: str,
    *,
    log: bool = False,
    whole: Any = None,
    more: str = "",
) -> Plot:
    """A line for each target, or for the worst of many beside the range of all."""
    line, names = scene.timeline, scene.names
    values = np.where(values > 0, values, np.nan) if log else values
    many = len(names) > _EACH
    shown = scene.order[:_WORST] if many else sorted(scene.order)
    series = [(names[at], values[at]) for at in shown]
    data: dict[str, Any] = {"form": "lines", "x": plains(line.times_s), "xLabel": TIME, "yLabel": unit, "log": log}
    note, extra = f"{scene.spans_note} {more}".strip(), []
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
    more: str = "",
) -> Plot:
    """A heat map of targets and time; of many targets, a row has the worst of several."""
    line, log = scene.timeline, low is None
    groups = groups_of(len(scene.names), _MAX_ROWS)
    rows = np.array([_worst(values[group], worst) for group in groups])
    known = rows[rows > 0] if log else rows[~np.isnan(rows)]
    least = low if low is not None else float(known.min()) if len(known) else 0.01
    most = high if high is not None else max(float(known.max()) if len(known) else 1.0, least * 1.05)
    several = len(groups[0]) > 1
    silences = scene.silent
    silent = np.array([silences[group].any(axis=0) for group in groups]) if several else None
    data = {
        "form": "heat",
        "rows": len(groups),
        "columns": rows.shape[1],
        "from": line.first_s,
        "to": line.first_s + line.length_s,
        "span": line.span_s,
        "low": plain(least),
        "high": plain(most),
        "log": log,
        "levels": levels(rows, least, most, log=log, silent=silent),
        "ticks": [{"at": at + 0.5, "label": scene.names[int(group[0])]} for at, group in enumerate(groups)],
        "down": True,
        "scheme": "viridis" if worst is np.nanmin else "YlOrRd",
        "label": f"{title}, {unit}",
        "xLabel": TIME,
    }
    word = scene.word
    note = f"Each row is the worst of {len(groups[0])} {word}s next to one another. " if several else ""
    note += f"Each column {line.covers}. " if line.covers else ""
    if several and silent is not None and silent.any():
        note += "Grey where no request of one of them ended in a measured window: it hangs, or little was asked of it. "
    note += f"Empty where no request {'of any of them' if several else f'of the {word}'} ended. {more}".rstrip()
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
    line, silent = scene.timeline, scene.silent
    parts = groups_of(values.shape[1], TABLE_COLUMNS)
    begins = (f"from {line.span_of(int(part[0]), 0)[0]} s" for part in parts)
    shown = scene.order[:_TABLE_ROWS]
    rows = []
    for at in shown:
        own = [text(float(_worst(values[at, part][:, np.newaxis], worst)[0])) for part in parts]
        gaps = [bool(silent[at, part].any()) for part in parts]
        rows.append((scene.names[at], *map(_with_gap, own, gaps)))
    left = len(scene.names) - len(rows)
    notes = ["The worst moment of each span of time."]
    if silent[shown].any():
        moment = f"{line.span_s} s" if line.span_s > 1 else "a second"
        notes.append(f"{_SILENT.capitalize()}: no request of the {scene.word} ended in {moment} or more of it.")
    if left > 0:
        notes.append(f"{left:,} better ones are left out.")
    head = (scene.word, *begins)
    return Table(f"{title}, {unit}, the worst {scene.word} first", head, tuple(rows), " ".join(notes))


def _with_gap(shown: str, is_silent: bool) -> str:
    if not is_silent:
        return shown
    return _SILENT if shown == NOTHING else f"{shown}, {_SILENT}"
