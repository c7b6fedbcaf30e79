"""The live screen of a spec run, as a function of one RunView and the size of the terminal.

Rules: every line fits the width; all lines fit the height less one, so that the terminal never scrolls; colour is never
the only sign: a VM with problems is marked by `!`.

When there are more VMs than lines, the rows are paged by the clock of the run, and one line names the VMs with problems
on whichever page they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.folding import some
from coordinator.output.terminal.intervals import live_millis
from coordinator.output.terminal.machines import machine_lines
from coordinator.output.terminal.runview import EngineRow, RunView, TargetRow

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
    """The live screen as a rich renderable, which measures the terminal each time it is drawn."""

    view: RunView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n", no_wrap=True).join(
            self.lines(options.max_width, options.size.height, ascii_only=options.ascii_only)
        )

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen: at most `height - 1` lines of at most `width` cells."""
        view, layout = self.view, Layout.fit(self.view, height)
        blank = [Text()] if layout.airy else []
        lines = [self._title(), self._progress(width, ascii_only), *blank]
        lines += self._table(layout, width, ascii_only)
        if layout.pages != 1:
            lines.append(self._paging(layout))
        below = (
            machine_lines(view.machines, layout.engine_lines, ascii_only=ascii_only)
            if view.machines
            else engine_lines(view.engines, layout.engine_lines)
        )
        lines += [*blank, *below]
        lines += [
            Text(f"! {notice}", "yellow") for notice in view.notices[-layout.notice_lines :][: layout.notice_lines]
        ]
        return [cut_line(line, width, ascii_only) for line in lines[: max(1, height - 1)]]

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
        columns, name_width = _choose(width, [*view.targets, view.totals])

        def cells(mark: str, name: str, values: Sequence[str]) -> str:
            padded = [
                fmt.pad(v, c.width, right=True, ascii_only=ascii_only) for v, c in zip(values, columns, strict=True)
            ]
            return _GAP.join([mark + fmt.pad(name, name_width - 1, ascii_only=ascii_only), *padded])

        yield Text(cells(" ", "VM", [c.title for c in columns]), "dim bold")
        for row in self._page(layout):
            style = "red" if row.errors else "yellow" if row.failing else ""
            yield Text(cells("!" if row.failing else " ", row.name, [c.cell(row) for c in columns]), style)
        total = view.totals
        yield Text(cells("!" if total.failing else " ", total.name, [c.cell(total) for c in columns]), "bold")

    def _page(self, layout: Layout) -> Sequence[TargetRow]:
        if layout.rows == 0:
            return ()
        if layout.pages > MOST_PAGES:
            return sorted(self.view.targets, key=_badness, reverse=True)[: layout.rows]
        first = self._page_number(layout) * layout.rows
        return self.view.targets[first : first + layout.rows]

    def _page_number(self, layout: Layout) -> int:
        return int(self.view.elapsed_s // PAGE_S) % layout.pages

    def _paging(self, layout: Layout) -> Text:
        view, targets = self.view, len(self.view.targets)
        if layout.rows == 0:
            shown = f"{targets} VMs, too many for this terminal"
        elif layout.pages > MOST_PAGES:
            shown = f"the worst {layout.rows} of {targets} VMs"
        else:
            first = self._page_number(layout) * layout.rows
            shown = f"VMs {first + 1}-{min(first + layout.rows, targets)} of {targets}"
        line = Text(f" {shown}", "dim")
        if view.failing:
            names = some([row.name for row in view.failing])
            problems = f"{len(view.failing)} VM{'s' * (len(view.failing) != 1)} with problems"
            line.append(f"   ! {problems}: {names}", "yellow not dim")
        return line


def _badness(row: TargetRow) -> tuple[int, int, float]:
    """How bad a VM is: connections that do not conform, errors, slowness."""
    short = 0 if row.conforming is None else row.requested - row.conforming
    return short, row.errors, -1.0 if row.p99_ms is None else row.p99_ms.low


def _choose(width: int, rows: Sequence[TargetRow]) -> tuple[list[_Column], int]:
    """The columns that fit, and the width of the name including its mark."""
    longest = max(cell_len(row.name) for row in rows) + 1
    wanted = min(_NAME_MAX, max(_NAME_MIN, longest))
    columns = list(_COLUMNS)

    def room(name: int) -> int:
        return width - name - sum(c.width + len(_GAP) for c in columns)

    # The address is left out before a name is cut.  Every other column is worth more than a whole name.
    while columns and room(wanted if columns[0] is _COLUMNS[0] else min(wanted, 14)) < 0:
        columns.remove(max(columns, key=lambda c: c.keep))
    name = min(wanted, wanted + room(wanted)) if columns else min(wanted, width)
    return columns, max(1, name)


def engine_lines(engines: Sequence[EngineRow], lines: int) -> list[Text]:
    """One line per engine where there is room, otherwise one line with the worst numbers of all."""
    if not lines:
        return []
    if lines == len(engines):
        return [_engine_line(row.worker, row) for row in engines]
    late = [row.lateness_p99_ms for row in engines if row.lateness_p99_ms is not None]
    waits = [row.runqueue_share for row in engines if row.runqueue_share is not None]
    worst = EngineRow(
        worker="",
        connections=sum(row.connections for row in engines),
        cpu_share=max(row.cpu_share for row in engines),
        runqueue_share=max(waits, default=None),
        lateness_p99_ms=max(late, default=None),
    )
    return [_engine_line(f"{len(engines)} engines, worst:", worst)]


def _engine_line(name: str, row: EngineRow) -> Text:
    waits = "" if row.runqueue_share is None else f"  run queue {fmt.percent(row.runqueue_share)}%"
    return Text(
        f" {name}  {fmt.count(row.connections)} active  CPU {row.cpu_share:.0%}{waits}"
        f"  late p99 {fmt.millis(row.lateness_p99_ms)} ms",
        "dim",
    )


def progress_line(where: str, share: float, remaining_s: float, width: int, ascii_only: bool) -> Text:
    """The progress of a run: words, a bar where there is room for one, and the remaining time."""
    left = f"{int(min(1.0, share) * 100):3d}%  {fmt.clock(remaining_s)} left"
    room = width - len(left) - 3
    # The words are padded, so that the bar does not move when they change.
    words = fmt.pad(where, min(36, room) if width >= 72 else min(cell_len(where), room), ascii_only=ascii_only)
    length = min(60, room - cell_len(words))
    drawn = fmt.bar(share, length, ascii_only=ascii_only) if length >= 4 else ""
    return Text.assemble((words, "cyan"), " ", (drawn, "green"), " ", left)


def cut_line(line: Text, width: int, ascii_only: bool) -> Text:
    """The line in at most `width` cells, never wrapped; a line that is too long is cut and ends with a mark."""
    line.no_wrap = True
    if line.cell_len > width:
        line.truncate(max(0, width - 1))
        line.append("~" if ascii_only else "…")
    return line
