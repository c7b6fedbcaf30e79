"""Response times on a percentile axis, as HdrHistogram's tools draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from coordinator.output.hdr import times_of
from coordinator.output.plot import style
from coordinator.output.plot.axes import plain_ticks, shortened
from coordinator.output.plot.marks import is_invalid
from coordinator.output.plot.picture import Picture, Subject, Table
from loadgen.measure.censored import Times
from loadgen.model.units import NS_PER_MS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NINES = 5
_DECADE = 10
_ALIKE = 1.001
_ENDLESS_MS = 1e9  # an upper bound that is not known, on the axis
_POINTS_PER_NINE = 24


def latency(subjects: Sequence[Subject]) -> Picture:
    """One curve for each run.  Where failed or cut requests leave only a lower bound, the upper end is dashed."""
    found = [(_name(subject), _curve(times_of(subject.judged))) for subject in subjects]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        deepest = 1.0
        for at, (name, curve) in enumerate(found):
            levels = [1 / (1 - q / 100) for q, _, _ in curve]
            lows = [low for _, low, _ in curve]
            ink, line = style.INKS[at % len(style.INKS)], style.LINES[at % len(style.LINES)]
            axes.plot(levels, lows, color=ink, linestyle=line, label=shortened(name), drawstyle="steps-post")
            is_open = [high > _ALIKE * low for _, low, high in curve]
            if any(is_open):
                highs = [min(high, _ENDLESS_MS) for _, _, high in curve]
                axes.fill_between(
                    levels, lows, highs, where=is_open, step="post", color=style.BAND, alpha=0.4, linewidth=0
                )
            deepest = max([deepest, *levels])
        bottom = min((low for _, curve in found for _, low, _ in curve if low > 0), default=1.0)
        top = max((low for _, curve in found for _, low, _ in curve), default=1.0)
        if top > _DECADE * bottom:
            axes.set_yscale("log")
            axes.set_ylim(0.8 * bottom, 1.6 * top)
        else:
            axes.set_ylim(0, 1.2 * top)
        axes.set_xscale("log")
        axes.set_xlim(1, deepest * 1.05)
        nines = [0.0, *(100 - 100 / 10**n for n in range(1, _NINES + 1))]
        ticks = [q for q in nines if 1 / (1 - q / 100) <= deepest * 1.05]
        axes.set_xticks([1 / (1 - q / 100) for q in ticks], [f"{q:.10g}" for q in ticks])
        axes.xaxis.minorticks_off()
        axes.grid(axis="both")
        plain_ticks(axes)
        axes.set_xlabel("percentile, %")
        axes.set_ylabel("response time, ms")
        if len(found) > 1:
            axes.legend(loc="upper left", borderaxespad=0.2)
        if any(high > _ALIKE * low for _, curve in found for _, low, high in curve):
            axes.annotate(
                "shaded: at least the line (failed or cut requests)",
                (0, 1),
                (0, 3),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize=6,
            )

    rows = tuple(
        (name, round(q, 6), low, None if math.isinf(high) else high) for name, curve in found for q, low, high in curve
    )
    return Picture(draw=draw, table=Table(columns=("run", "percentile", "low_ms", "high_ms"), rows=rows))


def _name(subject: Subject) -> str:
    """The name of a run; among others, it says which of them is INVALID."""
    return f"{subject.name} (INVALID)" if is_invalid(subject.judged) else subject.name


def _curve(times: Times) -> list[tuple[float, float, float]]:
    """Percentile, lower and upper bound in ms, up to the percentile that one request is; () without requests."""
    depth = min(_NINES, math.log10(times.total)) if times.total else 0.0
    if not depth:
        return []
    levels = 100 - 100 * 10 ** -np.linspace(0, depth, max(2, round(depth * _POINTS_PER_NINE)))
    levels[0] = 100 / times.total
    found = [(q, times.percentile(q)) for q in levels.tolist()]
    return [(q, span.low / NS_PER_MS, span.high / NS_PER_MS) for q, span in found if span is not None]
