"""What a figure consists of, before anything is drawn: the drawing function, and the numbers as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coordinator.output.judged import Judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Subject:
    """A run with the name that it has in the figure."""

    name: str
    judged: Judged[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The numbers of a figure: for .csv, and with a `caption` also for .tex.  None is an empty cell."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure to draw.

    `draw` fills an empty figure of matplotlib.  `height` is its height as a share of its width, for one column.
    `table` has the numbers for .csv, `latex` those for .tex; None when the figure is no table.
    """

    draw: Callable[[Figure], None]
    table: Table
    height: float = 0.62
    latex: Table | None = None
