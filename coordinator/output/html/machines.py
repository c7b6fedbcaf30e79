"""The health of load machines over time: their engines' CPU, and what took their cores away."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from coordinator.output.html.blocks import Block, Plot, Table
from coordinator.output.html.numbers import bands, groups_of, plains, text
from coordinator.output.html.timeline import MAX_COLUMNS
from coordinator.output.measured import Part
from coordinator.record.frames import seconds
from loadgen.model.units import NS_PER_S

_ENGINES = 8
_TAKEN = {"others_ns": "other processes", "stolen_ns": "the hypervisor", "softirq_ns": "software interrupts"}
_TIME = "seconds since the start of the run"
_SHOWN = 60
_SHORT_NS = NS_PER_S // 10
"""The last interval of an engine may be a moment in which it ends itself, at the full speed of its core."""


def machine_blocks(part: Part, result: Any) -> Iterator[Block]:
    """The engines' CPU, what took cores from them, and the disturbed seconds; each as far as it was recorded."""
    disturbance = result.disturbance
    spans = [] if disturbance is None else [(float(one.first_s), float(one.last_s + 1)) for one in disturbance.spans]
    shades = bands(spans, "disturbed")
    yield from _engines(part, shades)
    yield from _taken(part, shades)
    if disturbance is not None and disturbance.spans:
        rows = tuple(
            (one.machine, f"{one.first_s} to {one.last_s + 1}", one.cause.what, one.cause.who)
            for one in disturbance.spans[:_SHOWN]
        )
        left = len(disturbance.spans) - len(rows)
        note = f"{left:,} more are left out." if left else ""
        yield Table("Disturbed seconds", ("machine", "seconds of the run", "by", "most"), rows, note)


def _engines(part: Part, shades: list[dict[str, Any]]) -> Iterator[Block]:
    """The share of its time in which each engine worked or waited for a core."""
    newest: dict[tuple[str, int], tuple[int, int]] = {}
    for one in part.record.measured:
        health = one.health
        newest[one.worker, one.interval] = (health.cpu_ns + max(0, health.runqueue_ns), health.wall_ns)
    by_engine: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for (worker, interval), (busy_ns, wall_ns) in newest.items():
        if wall_ns > _SHORT_NS:
            by_engine[worker][interval] = 100 * busy_ns / wall_ns
    if by_engine:
        title, unit = "How busy each engine was", "% of one core"
        note = "Working, or waiting for a core. An engine near 100 % would be the limit of the run."
        yield _plot(title, unit, dict(by_engine), shades, note, "engine")


def _taken(part: Part, shades: list[dict[str, Any]]) -> Iterator[Block]:
    """Of the cores that the engines used, the share that others took: on each machine that of the worst engine."""
    found: defaultdict[str, dict[int, float]] = defaultdict(dict)
    machines = set()
    rows = list(seconds(part.record.path))
    for second in rows:
        machines.add(second.machine)
    for second in rows:
        for name, words in _TAKEN.items():
            shares = [
                100 * getattr(one, name) / one.core_ns
                for one in second.engines
                if one.core_ns > 0 and getattr(one, name) >= 0
            ]
            if shares:
                label = words if len(machines) == 1 else f"{second.machine}: {words}"
                found[label][second.interval] = max(shares)
    if found:
        title, unit = "What took time from the engines' cores", "% of the core"
        note = "On each machine, for the engine that was worst off."
        yield _plot(title, unit, dict(found), shades, note, "cause")


def _plot(
    title: str, unit: str, series: dict[str, dict[int, float]], shades: list[dict[str, Any]], note: str, word: str
) -> Plot:
    first = min(min(one) for one in series.values())
    last = max(max(one) for one in series.values())
    groups = groups_of(last - first + 1, MAX_COLUMNS)
    span_s = len(groups[0])
    folded: dict[str, np.ndarray[Any, Any]] = {}
    for name, points in series.items():
        values = np.full(last - first + 1, np.nan)
        values[[at - first for at in points]] = list(points.values())
        folded[name] = np.array(
            [np.nanmax(values[group]) if not np.isnan(values[group]).all() else np.nan for group in groups]
        )
    highest = {name: max(points.values()) for name, points in series.items()}
    order = sorted(highest, key=lambda name: -highest[name])
    shown = order[:_ENGINES]
    times = [first + (int(group[0]) + int(group[-1]) + 1) / 2 for group in groups]
    data = {
        "form": "lines",
        "x": plains(times),
        "xLabel": _TIME,
        "yLabel": unit,
        "series": [{"name": name, "y": plains(folded[name].tolist())} for name in shown],
        "bands": shades,
    }
    rows = tuple(
        (
            name,
            text(statistics.fmean(series[name].values())),
            text(highest[name]),
            f"{times[int(np.nanargmax(folded[name]))]:g}",
        )
        for name in order[:_SHOWN]
    )
    if len(order) > len(shown):
        note += f" The {len(shown)} highest of {len(order)}."
    if span_s > 1:
        note += f" Each point is the highest of {span_s} s."
    top = order[0]
    says = f"Highest: {top}, up to {text(highest[top])} {unit}."
    return Plot(title, says, data, Table(f"{title}, {unit}", (word, "mean", "highest", "at second"), rows), note)
