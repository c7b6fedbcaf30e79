"""The live screen of a spec run, as a function of one RunView and the size of the terminal.

Rules: every line fits the width; all lines fit the height less one, so that the terminal never scrolls; colour is never
the only sign: a VM with problems is marked by `!`.

When there are more VMs than lines, the rows are paged by the clock of the run, and one line names the VMs with problems
on whichever page they are, the worst first.  Keys choose other rows, or another order (:mod:`.keys`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.folding import some
from coordinator.output.terminal.frame import fitted, notice_rows, progress_line
from coordinator.output.terminal.intervals import live_millis
from coordinator.output.terminal.keys import UNTOUCHED, Controls, Order, Window, window
from coordinator.output.terminal.live import View, choose_view
from coordinator.output.terminal.live_engines import engine_lines
from coordinator.output.terminal.machines import machine_lines
from coordinator.output.terminal.plain import news
from coordinator.output.terminal.runview import RunView, TargetRow
from coordinator.output.terminal.trend import LEAST_CELLS, Trend, cells_in

PAGE_S = 4
"""The time for which a page of VMs is shown: long enough to read sixteen rows."""

_GAP = "  "
_NAME_MIN, _NAME_MAX = 6, 24
_MAX_NOTICES = 4
MOST_PAGES = 5  # of more, nobody waits for the page with a certain VM: the worst VMs are shown all the time


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table.  On a narrow terminal the column with the highest `keep` is left out first."""

    title: str
    width: int
    keep: int
    cell: Callable[[TargetRow], str]


_COLUMNS = (
    _Column("address", 21, 9, lambda row: row.address),
    _Column("conns", 6, 4, lambda row: fmt.count(row.requested)),
    _Column("conf %", 6, 0, lambda row: fmt.percent(fmt.share_of(row.conforming, row.requested))),
    _Column("ops/s", 8, 1, lambda row: fmt.rate(row.ops_per_s)),
    _Column("Mbit/s", 8, 3, lambda row: fmt.rate(row.mbit_per_s)),
    _Column("p50 ms", 7, 5, lambda row: live_millis(row.p50_ms)),
    _Column("p99 ms", 7, 2, lambda row: live_millis(row.p99_ms)),
    _Column("errors", 7, 1, lambda row: fmt.count(row.errors)),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout that fits on the screen: `rows` VMs on each of `pages`, and the number of lines of each other part.

    `engine_lines` are the lines of machines in a run on several machines.
    """

    rows: int
    pages: int
    engine_lines: int
    notice_lines: int
    airy: bool

    @classmethod
    def fit(cls, view: RunView, height: int) -> Layout:
        """The layout for a terminal of `height` lines; the last one is left free for the cursor."""
        targets, engines = len(view.targets), len(view.machines or view.engines)
        notices = min(len(view.notices), 2)
        # Title, progress, column heads, totals.
        free = height - 1 - 4 - min(engines, 1) - notices
        if targets > free:
            rows = max(0, free - 1)  # one line says which page it is
            pages = -(-targets // rows) if rows else 0
            return cls(rows, pages, min(engines, 1), notices, airy=False)
        spare = free - targets
        engine_lines = engines if engines - 1 <= spare else min(engines, 1)
        spare -= max(0, engine_lines - 1)
        notice_lines = min(len(view.notices), notices + spare, _MAX_NOTICES)
        spare -= notice_lines - notices
        return cls(targets, 1, engine_lines, notice_lines, airy=spare >= 2)


@dataclass(frozen=True, slots=True)
class Screen:
    """The live screen.  `trend` has the operations per second of the last minute, of each VM and then of all."""

    view: RunView
    controls: Controls = UNTOUCHED
    trend: Trend | None = None

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen: at most `height - 1` lines of at most `width` cells."""
        view, layout = self.view, Layout.fit(self.view, height)
        blank = [Text()] if layout.airy else []
        lines = [self._title(), self._progress(width, ascii_only), *blank]
        lines += self._table(layout, width, ascii_only)
        if layout.pages != 1:
            lines.append(self._paging(layout, width))
        below = (
            machine_lines(view.machines, layout.engine_lines, ascii_only=ascii_only)
            if view.machines
            else engine_lines(view.engines, layout.engine_lines)
        )
        lines += [*blank, *below]
        lines += notice_rows(view.notices, layout.notice_lines)
        return fitted(lines, width, height, ascii_only)

    def window(self, width: int, height: int) -> Window:
        """The VMs that are shown."""
        return self._window(Layout.fit(self.view, height))

    def _window(self, layout: Layout) -> Window:
        total = len(self.view.targets)
        return window(total, layout.rows, self.controls, turn_pages(total, layout.rows, self.view.elapsed_s))

    def _title(self) -> Text:
        return Text(self.view.title, "bold")

    def _progress(self, width: int, ascii_only: bool) -> Text:
        view = self.view
        where = f"iteration {view.iteration + 1}/{view.iterations}  " if view.iteration >= 0 else ""
        where += view.phase
        if view.phase_length_s:
            where += f" {view.phase_elapsed_s:.0f}/{view.phase_length_s:.0f} s"
        share = view.elapsed_s / view.total_s if view.total_s else 0.0
        return progress_line(where, share, view.remaining_s, width, ascii_only)

    def _table(self, layout: Layout, width: int, ascii_only: bool) -> Iterator[Text]:
        view = self.view
        columns, name_width, chart = _choose(width, [*view.targets, view.totals], charts=self.trend is not None)

        def cells(mark: str, name: str, values: Sequence[str]) -> str:
            padded = [
                fmt.pad(v, c.width, right=True, ascii_only=ascii_only) for v, c in zip(values, columns, strict=True)
            ]
            return _GAP.join([mark + fmt.pad_name(name, name_width - 1, ascii_only=ascii_only), *padded])

        def line(row: TargetRow, at: int, style: str) -> Text:
            found = Text(cells("!" if row.failing else " ", row.name, [c.cell(row) for c in columns]), style)
            if self.trend and chart:
                found.append(_GAP + self.trend.line(at, chart, ascii_only=ascii_only), "not bold")
            return found

        heading = cells(" ", "VM", [c.title for c in columns])
        yield Text(heading + (_GAP + fmt.pad(chart_title("ops/s", chart), chart) if chart else ""), "dim bold")
        for at, row in self._page(layout):
            yield line(row, at, "red" if row.errors else "yellow" if row.failing else "")
        yield line(view.totals, len(view.targets), "bold")

    def _page(self, layout: Layout) -> Sequence[tuple[int, TargetRow]]:
        """The rows that are shown, each with its number."""
        shown = self._window(layout)
        rows: Sequence[tuple[int, TargetRow]] = list(enumerate(self.view.targets))
        if shown.order is Order.WORST:
            rows = sorted(rows, key=lambda row: _badness(row[1]), reverse=True)
        return rows[shown.first : shown.first + shown.rows]

    def _paging(self, layout: Layout, width: int) -> Text:
        total = len(self.view.targets)
        shown = f"{total:,} VMs, too many for this terminal"
        if layout.rows:
            shown = self._window(layout).words("VMs")
        worst = [row.name for row in sorted(self.view.failing, key=_badness, reverse=True)]
        return paging_line(shown, worst, "VM", width)


class Screens:
    """Makes the screens of one run, and keeps the last minute of each VM."""

    def __init__(self) -> None:
        self._trend = Trend()

    def __call__(self, view: RunView, controls: Controls) -> Screen:
        """The screen of `view`."""
        if view.interval >= 0:
            self._trend.add(view.interval, [row.ops_per_s for row in (*view.targets, view.totals)])
        return Screen(view, controls, self._trend)


def open_view(console: Console) -> View[RunView]:
    """The view of a spec run that fits the console."""
    return choose_view(console, Screens(), news)


def turn_pages(total: int, rows: int, elapsed_s: float) -> Window:
    """The rows that a view chooses by itself: pages are turned by the clock; of too many pages the worst is shown."""
    pages = -(-total // rows) if rows else 0
    if pages > MOST_PAGES:
        return Window(rows=rows, total=total, order=Order.WORST)
    first = int(elapsed_s // PAGE_S) % pages * rows if pages else 0
    return Window(first=first, rows=min(rows, total - first), total=total)


def paging_line(shown: str, worst: Sequence[str], what: str, width: int) -> Text:
    """Which rows are shown, and the names of those with problems, the worst first; shorter on a narrow terminal."""
    line = Text(f" {shown}", "dim")
    if not worst:
        return line
    number = f"{len(worst):,}"
    forms = (f"   ! {number} {what}{'s' * (len(worst) != 1)} with problems: ", f"  ! {number}: ")
    said = [form + some(worst, most) for form in forms for most in (6, 4, 2, 1)]
    for one in said:
        if line.cell_len + cell_len(one) <= width:
            return line.append(one, "yellow not dim")
    return Text.assemble((f" ! {number}: {worst[0]}", "yellow"), (f" {shown}", "dim"))  # the end may be cut off


def chart_title(what: str, cells: int) -> str:
    """The title of a column of charts, at most `cells` wide."""
    long = f"{what}, last 60 s"
    return long if len(long) <= cells else "last 60 s"


def _badness(row: TargetRow) -> tuple[int, int, float]:
    """How bad a VM is: connections that do not conform, errors, slowness."""
    short = 0 if row.conforming is None else row.requested - row.conforming
    return short, row.errors, -1.0 if row.p99_ms is None else row.p99_ms.low


def _choose(width: int, rows: Sequence[TargetRow], *, charts: bool) -> tuple[list[_Column], int, int]:
    """The columns that fit, the width of the name including its mark, and the cells of a chart (0: none)."""
    longest = max(cell_len(row.name) for row in rows) + 1
    wanted = min(_NAME_MAX, max(_NAME_MIN, longest))
    columns = list(_COLUMNS)

    def room(name: int) -> int:
        return width - name - sum(c.width + len(_GAP) for c in columns)

    # The address is left out before a name is cut, and before the chart.  Every other column is worth more than a chart
    # and a whole name.
    least = LEAST_CELLS + len(_GAP) if charts else 0
    while columns and room(wanted if columns[0] is _COLUMNS[0] else min(wanted, 14)) < (
        least if columns[0] is _COLUMNS[0] else 0
    ):
        columns.remove(max(columns, key=lambda c: c.keep))
    name = min(wanted, wanted + room(wanted)) if columns else min(wanted, width)
    return columns, max(1, name), cells_in(room(wanted) - len(_GAP)) if charts and columns else 0
