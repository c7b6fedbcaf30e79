"""Response times on a percentile axis, as HdrHistogram's tools draw them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from coordinator.output.curves import curves_of
from coordinator.output.hdr import times_of
from coordinator.output.plot import style
from coordinator.output.plot.axes import in_legend, legend_above, plain_ticks, shortened
from coordinator.output.plot.marks import unscored
from coordinator.output.plot.picture import Picture, Subject, Table
from loadgen.measure.censored import Times
from loadgen.model.errors import PlanError
from loadgen.model.units import NS_PER_MS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 12
"""Curves that a reader can tell apart."""

_INSIDE = 4  # curves whose names have room between them and the upper left corner
_TICKS = 6  # percentiles whose names have room below the axis
_DECADE = 10
_ALIKE = 1.001
_ENDLESS_MS = 1e9  # an upper bound that is not known, on the axis
_POINTS_PER_NINE = 24

_Curve = list[tuple[float, float, float]]
"""Percentile, lower and upper bound in ms; the percentiles rise."""


def latency(subjects: Sequence[Subject]) -> Picture:
    """A curve for each run, or for each of its parts that must not be added up (coordinator.output.curves).

    Where failed or cut requests leave only a lower bound, the rest is shaded.  Raises PlanError for too many curves.
    """
    _check(subjects)
    found = [(name, _curve(times)) for subject in subjects for name, times in _named(subject, len(subjects) > 1)]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for at, (name, curve) in enumerate(found):
            _draw(axes, at, name, curve)
        deepest = 1.1 * max(_place(q) for _, curve in found for q, _, _ in curve)
        bottom = min((low for _, curve in found for _, low, _ in curve if low > 0), default=1.0)
        top = max(low for _, curve in found for _, low, _ in curve)
        if top > _DECADE * bottom:
            axes.set_yscale("log")
            axes.set_ylim(0.8 * bottom, 1.6 * top)
        else:
            axes.set_ylim(0, 1.2 * top if top > 0 else 1)
        axes.set_xscale("log")
        axes.set_xlim(1, deepest)
        nines = range(math.floor(math.log10(deepest)) + 1)
        ticks = nines[::2] if len(nines) > _TICKS else nines
        axes.set_xticks([10.0**n for n in ticks], [f"{100 - 100 / 10**n:.15g}" for n in ticks])
        axes.xaxis.minorticks_off()
        axes.grid(axis="both")
        plain_ticks(axes)
        is_open = any(_is_open(point) for _, curve in found for point in curve)
        note = "\nshaded, open dot: at least (failed or cut requests)" if is_open else ""
        axes.set_xlabel(f"percentile, % (dot: the slowest request){note}")
        axes.set_ylabel("response time, ms")
        if len(found) > _INSIDE:
            legend_above(axes)
        elif len(found) > 1:
            axes.legend(loc="upper left", borderaxespad=0.2)

    rows = tuple(
        (name, f"{q:.10g}", low, None if math.isinf(high) else high) for name, curve in found for q, low, high in curve
    )
    return Picture(draw=draw, table=Table(columns=("run", "percentile", "low_ms", "high_ms"), rows=rows))


def _check(subjects: Sequence[Subject]) -> None:
    curves = sum(1 for subject in subjects for _ in curves_of(subject.judged.result))
    if curves > _MOST:
        raise PlanError(
            f"these are {curves} curves of response times, but a figure shows at most {_MOST}",
            hint=f"give the directories of fewer runs; those of {subjects[0].judged.path} are below it",
        )


def _draw(axes: Axes, at: int, name: str, curve: _Curve) -> None:
    places, lows = [_place(q) for q, _, _ in curve], [low for _, low, _ in curve]
    ink = style.INKS[at % len(style.INKS)]
    line = style.LINES[(at + at // len(style.INKS)) % len(style.LINES)]  # the seventh has another line than the first
    axes.plot(places, lows, color=ink, linestyle=line, label=in_legend(shortened(name)), drawstyle="steps-post")
    is_open = [_is_open(point) for point in curve]
    # A point stands for the times up to the next one, which therefore belongs to the shade, too.
    shaded = [one or before for one, before in zip(is_open, [False, *is_open[:-1]], strict=True)]
    highs = [min(high, _ENDLESS_MS) for _, _, high in curve]
    axes.fill_between(places, lows, highs, where=shaded, step="post", color=style.BAND, alpha=0.4, linewidth=0)
    axes.plot(places[-1:], lows[-1:], color=ink, linestyle="", marker="o", fillstyle="none" if is_open[-1] else "full")


def _place(q: float) -> float:
    """The place of a percentile below 100 on the axis, which stretches the slowest: 10 for 90 %, 100 for 99 %."""
    return 1 / (1 - q / 100)


def _is_open(point: tuple[float, float, float]) -> bool:
    _, low, high = point
    return high > _ALIKE * low


def _named(subject: Subject, several: bool) -> Iterator[tuple[str, Times]]:
    """The times of a run by the names of their curves; the name says which are of runs that do not count."""
    for curve, times in times_of(subject.judged):
        name = ": ".join(filter(None, (subject.name if several or not curve.name else "", curve.name)))
        word = ("" if curve.name else unscored(subject.judged.result.verdict)) or unscored(curve.verdict)
        yield f"{name} ({word})" if word else name, times


def _curve(times: Times) -> _Curve:
    """From the fastest request to the slowest of N, which stands at 100 - 50 / N: 100 % has no place on the axis."""
    total = times.total
    last = 100 - 50 / total
    first = min(100 / total, last)
    depth = math.log10(total)
    grid = 100 - 100 * 10 ** -np.linspace(0, depth, max(2, round(depth * _POINTS_PER_NINE)))
    levels = [first, *(q for q in grid.tolist() if first < q < last), *([last] if last > first else [])]
    found = [(q, times.percentile(q if q < last else 100)) for q in levels]
    return [(q, span.low / NS_PER_MS, span.high / NS_PER_MS) for q, span in found if span is not None]
