"""Axes that several figures share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DECADE = 10
_PER_IN = 17  # characters of the legend's font in an inch
_HANDLE = 5  # characters that the sample beside a name takes
_LONGEST = 28  # characters of a name in a legend


def legend_above(axes: Axes) -> None:
    """A legend above the axes, in as many columns as fit; long names lose their middle."""
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    names = [shortened(name) for name in names]
    figure = axes.get_figure(root=True)
    room = _PER_IN * (figure.get_figwidth() - 0.6 if figure else 0)
    columns = len(names)
    while columns > 1 and _width(names, columns) > room:
        columns -= 1
    axes.legend(
        handles, names, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, columnspacing=1.0
    )


def in_legend(name: str) -> str:
    """The name as a label: matplotlib leaves one that begins with an underscore out of the legend."""
    return f" {name}" if name.startswith("_") else name


def shortened(name: str) -> str:
    """The name, without its middle when it is long: the ends tell names of VMs and directories apart."""
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[: half - 1]}…{name[-half:]}"


def _width(names: list[str], columns: int) -> int:
    """In characters; a legend is filled column by column."""
    rows = -(-len(names) // columns)
    return sum(_HANDLE + max(map(len, names[at : at + rows])) for at in range(0, len(names), rows))


def plain_ticks(axes: Axes) -> None:
    """Numbers like 0.5, 20 and 3,000 on a vertical axis; on a logarithmic one also 2 and 5, when it is short."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    plain = FuncFormatter(lambda value, _: f"{value:,.10g}")
    axes.yaxis.set_major_formatter(plain)
    if axes.get_yscale() == "log":
        low, high = axes.get_ylim()
        short = high < 3 * _DECADE * low
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,)))
        axes.yaxis.set_minor_formatter(NullFormatter())
