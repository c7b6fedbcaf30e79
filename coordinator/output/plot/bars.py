"""Grouped bars with intervals: the form of the paper's Figures 3 and 4, and of Table 3 when it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coordinator.output.plot import style
from coordinator.output.plot.axes import in_legend, legend_above
from coordinator.output.plot.picture import Cell, Picture, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FILLED = 0.8  # of the place of a group
_WIDEST = 0.3  # of a group, for one bar
_ROOM = 15.5  # characters of names of groups beside each other, for each inch of the figure's width
_THIN = 0.02  # of the height of the axes: a smaller interval is seen without a white outline
_ABOVE = 1.15  # times the highest bar, where a sign stands above it
_DIGITS = 3
_AT_LEAST = "≥"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: `value` with the interval `low` to `high`, of what was `asked`.  Without a value, `note` says why.

    `at_least`: the value is only a lower bound.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    asked: float | None = None
    at_least: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars in `groups`; `series` has the bars of each name in the order of the groups, None where there is none.

    `axis` names the values, `interval` says what the intervals are, `group` what the groups are.  `level` is a line.
    `decimals`: of numbers in the table for LaTeX; None for about three significant digits.
    """

    groups: tuple[str, ...]
    series: tuple[tuple[str, tuple[Bar | None, ...]], ...]
    axis: str
    group: str
    interval: str
    caption: str
    level: float | None = None
    decimals: int | None = None

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
        self._set_height(axes)
        longest = max((len(line) for group in self.groups for line in group.splitlines()), default=0)
        inclined = longest * len(self.groups) > _ROOM * figure.get_figwidth()
        turned: Any = {"rotation": 30, "ha": "right"} if inclined else {}
        axes.set_xticks(range(len(self.groups)), self.groups, **turned)
        axes.tick_params(axis="x", length=0)
        axes.set_xlabel(self._along)
        axes.set_ylabel(self.axis)
        if len(self.series) > 1 or self._asking is not None:
            legend_above(axes)

    def _set_height(self, axes: Axes) -> None:
        """From 0 to above all that is drawn; without any value there are no numbers on the axis."""
        axes.set_ylim(bottom=0)
        known = [bar for _, bars in self.series for bar in bars if bar is not None and bar.value is not None]
        tops = [one for bar in known for one in (bar.value, bar.high, bar.asked, self.level) if one is not None]
        if not known:
            axes.set_yticks([])
        elif not any(tops):
            axes.set_ylim(top=1)
        elif any(bar.at_least for bar in known):
            axes.set_ylim(top=_ABOVE * max(tops))

    @property
    def _along(self) -> str:
        """What the groups are, and what the signs of the drawing mean."""
        every = [bar for _, bars in self.series for bar in bars if bar is not None]
        ranged = any(bar.low is not None and bar.high is not None and bar.low < bar.high for bar in every)
        least = any(bar.at_least for bar in every)
        return self.group + f"; error bars: {self.interval}" * ranged + f"\n{_AT_LEAST}: at least" * least

    @property
    def _asking(self) -> int | None:
        """The first series with bars of which it is known what was asked for; None when there is none."""
        return next(
            (
                at
                for at, (_, bars) in enumerate(self.series)
                if any(bar and bar.asked is not None and bar.value is not None for bar in bars)
            ),
            None,
        )

    def _bars(self, axes: Axes, at: int, name: str, placed: Sequence[tuple[float, Bar | None]], width: float) -> None:
        known = [(x, bar, bar.value) for x, bar in placed if bar is not None and bar.value is not None]
        axes.bar(
            [x for x, _, _ in known],
            [value for _, _, value in known],
            width,
            label=in_legend(name) if known else None,
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
            half = width / 2
            axes.hlines(
                [y for _, y in asked],
                [x - half for x, _ in asked],
                [x + half for x, _ in asked],
                color=style.EDGE,
                linewidth=0.8,
                linestyle=":",
                label="asked for" if at == self._asking else "",
            )
        for x, bar in placed:
            if bar is not None and bar.value is None:
                _write(axes, bar.note, x, 0, rotation=90)
        for x, bar, value in known:
            if bar.at_least or not value:  # a bar of 0 cannot be seen
                _write(axes, _AT_LEAST if value else f"{_AT_LEAST} 0" if bar.at_least else "0", x, bar.high or value)

    def _table(self) -> Table:
        """Tidy: one row for each bar."""
        rows = [
            (group.replace("\n", " "), name, bar.value, bar.low, bar.high, bar.asked, int(bar.at_least), bar.note)
            for name, bars in self.series
            for group, bar in zip(self.groups, bars, strict=True)
            if bar is not None
        ]
        columns = ("group", "series", "value", "low", "high", "asked", "at_least", "note")
        return Table(columns=columns, rows=tuple(rows))

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
        number = _rounded(bar.value) if self.decimals is None else f"{bar.value:.{self.decimals}f}"
        return f"{_AT_LEAST} {number}" if bar.at_least else number


def _write(axes: Axes, text: str, x: float, y: float, *, rotation: int = 0) -> None:
    axes.annotate(
        text, (x, y), (0, 3), textcoords="offset points", rotation=rotation, ha="center", va="bottom", fontsize=6
    )


def _rounded(value: float) -> str:
    """The number with about three significant digits; a whole one, or one of four digits or more, without decimals."""
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.{max(0, _DIGITS - 1 - math.floor(math.log10(abs(value))))}f}"
