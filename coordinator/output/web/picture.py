"""What the live page shows of a run at one moment: the same words and numbers as the terminal, as plain data.

The page's script knows nothing of kinds of runs: it shows headlines, tables and plots, whatever is in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A number that matters, with its name.  `bad` marks one that shows a problem."""

    name: str
    value: str
    bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a table: the first cell is its name, unique in the table."""

    cells: tuple[str, ...]
    bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.  `lines` names the number of which each row shows the last minute as a line; "" for none."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    lines: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """The newest point of a plot over time; None where the number is not known."""

    title: str
    unit: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """How far the run is.  `total_s` and `phase_length_s` are 0 when they are not known; `share` is of 1."""

    phase: str
    iteration: str = ""
    phase_elapsed_s: float = 0.0
    phase_length_s: float = 0.0
    elapsed_s: float = 0.0
    total_s: float = 0.0
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that is shown of a run at one moment, but the tables.

    `stamp` names the moment of measurement: while it stays the same, tables and plots do.  `so_far` is a sentence about
    what can be said already.
    """

    title: str
    where: Where
    stamp: str = ""
    so_far: str = ""
    headlines: Sequence[Headline] = ()
    plots: Sequence[Plot] = ()
    notices: Sequence[str] = ()
