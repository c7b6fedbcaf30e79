"""Latency of the quiet VM beside each hog, as shares of probes by latency: `loadgen isolate`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordinator.output.plot import style
from coordinator.output.plot.marks import unscored
from coordinator.output.plot.picture import Picture, Subject, Table
from loadgen.verdict.isolate_result import EDGES_MS, IsolateResult, IsolateRow, Latency
from loadgen.verdict.span import Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SERVICES = {"game": "game server", "echo": "UDP echo"}
_GREYS = ("#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c", "#08306b")
"""One fill for each bin, the faster the lighter: their order is the same without colour."""


def isolation(subjects: Sequence[Subject]) -> Picture:
    """A bar for each hog, divided by latency, for each service that was probed; its p99 stands beside it."""
    (subject,) = subjects
    result: IsolateResult = subject.judged.result
    word = unscored(result.verdict)
    services = [name for name in _SERVICES if any(getattr(row, name) is not None for row in result.rows)]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(max(1, len(services)), 1, sharex=True, squeeze=False)
        for (axes,), name in zip(panels, services, strict=False):
            _panel(axes, name, result.rows, word)
        panels[-1][0].set_xlabel("share of probes, %")
        handles, names = panels[0][0].get_legend_handles_labels()
        if handles:
            figure.legend(
                handles,
                names,
                loc="outside upper center",
                ncols=5,
                handlelength=1.0,
                columnspacing=0.8,
                title="latency, ms",
                title_fontsize=6.5,
            )

    return Picture(draw=draw, table=_table([] if word else result.rows), height=0.35 + 0.4 * max(1, len(services)))


def _panel(axes: Axes, name: str, rows: Sequence[IsolateRow], word: str) -> None:
    """The bars of one service; of a run without a score, `word` stands in their place."""
    places = range(len(rows))
    found: list[Latency | None] = [None if word else getattr(row, name) for row in rows]
    axes.set_yticks(places, [row.hog.value for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.grid(visible=False)
    axes.set_title(_SERVICES[name], loc="left")
    axes.tick_params(axis="y", length=0)
    for at, words in enumerate(_bins()):
        shares = [100 * latency.bins[at] if latency and latency.bins else 0.0 for latency in found]
        before = [100 * sum(latency.bins[:at]) if latency and latency.bins else 0.0 for latency in found]
        axes.barh(places, shares, 0.72, left=before, color=_GREYS[at], edgecolor=style.EDGE, linewidth=0.3, label=words)
    for place, row, latency in zip(places, rows, found, strict=True):
        words = f"p99 {_ms(latency.p99)} ms" if latency and latency.p99 else word or "not known"
        if row.failed:
            words = "broken off"
        axes.annotate(
            words,
            (1, place),
            (3, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=6,
        )


def _bins() -> list[str]:
    edges = [f"{edge:g}" for edge in EDGES_MS]
    inner = [f"{low}–{high}" for low, high in itertools.pairwise(edges)]
    return [f"< {edges[0]}", *inner, f"> {edges[-1]}"]


def _ms(span: Span) -> str:
    least = "" if span.high is not None and span.high <= span.low * 1.01 else "≥ "
    return f"{least}{span.low:.3g}"


def _table(rows: Sequence[IsolateRow]) -> Table:
    found = [
        (row.hog.value, name, words, round(share, 6))
        for row in rows
        for name in _SERVICES
        if (latency := getattr(row, name)) is not None
        for words, share in zip(_bins(), latency.bins, strict=False)
    ]
    return Table(columns=("hog", "service", "latency_ms", "share"), rows=tuple(found))
