"""Grouped bars with intervals: the form of the paper's Figures 3 and 4, and of Table 3 when it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coordinator.output.plot import style
from coordinator.output.plot.axes import legend_above
from coordinator.output.plot.picture import Cell, Picture, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FILLED = 0.8  # of the place of a group
_WIDEST = 0.3  # of a group, for one bar
_ROOM = 15.5  # characters of names of groups beside each other, for each inch of the figure's width
_THIN = 0.02  # of the height of the axes: a smaller interval is seen without a white outline


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: `value` with the interval `low` to `high`, of what was `asked`.  Without a value, `note` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    asked: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars in `groups`; `series` has the bars of each name in the order of the groups, None where there is none.

    `axis` names the values, `interval` says what the intervals are, `group` what the groups are.  `level` is a line.
    """

    groups: tuple[str, ...]
    series: tuple[tuple[str, tuple[Bar | None, ...]], ...]
    axis: str
    group: str
    interval: str
    caption: str
    level: float | None = None
    digits: int = 0

    def picture(self) -> Picture:
        """The bars as a picture, and as tables."""
        return Picture(draw=self.draw, table=self._table(), latex=self._latex())

    def draw(self, figure: Figure) -> None:
        """Draw the bars, with a legend above them when there are several series."""
        axes = figure.add_subplot()
        width = min(_WIDEST, _FILLED / max(1, len(self.series)))
        for at, (name, bars) in enumerate(self.series):
            places = [group + (at - (len(self.series) - 1) / 2) * width for group in range(len(self.groups))]
            self._bars(axes, at, name, list(zip(places, bars, strict=True)), width)
        if self.level is not None:
            axes.axhline(self.level, color=style.EDGE, linewidth=0.7, linestyle="--")
        axes.set_xlim(-0.5, len(self.groups) - 0.5)
        axes.set_ylim(bottom=0)
        if not any(bar and bar.value for _, bars in self.series for bar in bars):
            axes.set_yticks([])
        longest = max((len(line) for group in self.groups for line in group.splitlines()), default=0)
        inclined = longest * len(self.groups) > _ROOM * figure.get_figwidth()
        turned: Any = {"rotation": 30, "ha": "right"} if inclined else {}
        axes.set_xticks(range(len(self.groups)), self.groups, **turned)
        axes.tick_params(axis="x", length=0)
        axes.set_xlabel(f"{self.group}; error bars: {self.interval}" if self._is_ranged else self.group)
        axes.set_ylabel(self.axis)
        if len(self.series) > 1 or self._asks:
            legend_above(axes)

    @property
    def _is_ranged(self) -> bool:
        every = (bar for _, bars in self.series for bar in bars if bar is not None)
        return any(bar.low is not None and bar.high is not None and bar.low < bar.high for bar in every)

    @property
    def _asks(self) -> bool:
        return any(bar and bar.asked is not None and bar.value is not None for _, bars in self.series for bar in bars)

    def _bars(self, axes: Axes, at: int, name: str, placed: Sequence[tuple[float, Bar | None]], width: float) -> None:
        known = [(x, bar, bar.value) for x, bar in placed if bar is not None and bar.value is not None]
        axes.bar(
            [x for x, _, _ in known],
            [value for _, _, value in known],
            width,
            label=name if known else None,
            color=style.FILLS[at % len(style.FILLS)],
            hatch=style.HATCHES[at % len(style.HATCHES)],
            edgecolor=style.EDGE,
        )
        ranged = [
            (x, value, bar.low, bar.high)
            for x, bar, value in known
            if bar.low is not None and bar.high is not None and bar.low < bar.high
        ]
        if ranged:
            below = [max(0.0, value - low) for _, value, low, _ in ranged]
            above = [max(0.0, high - value) for _, value, _, high in ranged]
            tall = max(above) + max(below) > _THIN * max(value for _, value, *_ in ranged)
            for color, line in ((("#ffffff", 2.2),) if tall else ()) + ((style.EDGE, 0.9),):  # seen on a dark bar, too
                axes.errorbar(
                    [x for x, *_ in ranged],
                    [value for _, value, *_ in ranged],
                    yerr=[below, above],
                    fmt="none",
                    ecolor=color,
                    elinewidth=line,
                    capsize=min(3.0, 14 * width),
                    capthick=line,
                )
        asked = [(x, bar.asked) for x, bar, _ in known if bar.asked is not None]
        if asked:
            label = "asked for" if at == 0 else ""
            half = width / 2
            axes.hlines(
                [y for _, y in asked],
                [x - half for x, _ in asked],
                [x + half for x, _ in asked],
                color=style.EDGE,
                linewidth=0.8,
                linestyle=":",
                label=label,
            )
        for x, bar in placed:
            if bar is not None and bar.value is None:
                axes.annotate(
                    bar.note,
                    (x, 0),
                    (0, 3),
                    textcoords="offset points",
                    rotation=90,
                    ha="center",
                    va="bottom",
                    fontsize=6,
                )

    def _table(self) -> Table:
        """Tidy: one row for each bar."""
        rows = [
            (group.replace("\n", " "), name, bar.value, bar.low, bar.high, bar.asked, bar.note)
            for name, bars in self.series
            for group, bar in zip(self.groups, bars, strict=True)
            if bar is not None
        ]
        return Table(columns=("group", "series", "value", "low", "high", "asked", "note"), rows=tuple(rows))

    def _latex(self) -> Table:
        """As papers have it: one row for each group, one column for each series."""
        rows = [
            (group.replace("\n", " "), *(self._cell(bars[at]) for _, bars in self.series))
            for at, group in enumerate(self.groups)
        ]
        return Table(columns=(self.group, *(name for name, _ in self.series)), rows=tuple(rows), caption=self.caption)

    def _cell(self, bar: Bar | None) -> Cell:
        if bar is None:
            return None
        if bar.value is None:
            return bar.note
        return f"{bar.value:.{self.digits}f}"
