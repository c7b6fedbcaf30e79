"""The live view of a `loadgen http` run: a screen by the rules of :mod:`.screen` on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.frame import fitted, notice_rows, progress_line
from coordinator.output.terminal.http_view import HttpTargetRow, HttpView
from coordinator.output.terminal.intervals import live_millis, live_number
from coordinator.output.terminal.keys import UNTOUCHED, Controls, Order, Window, window
from coordinator.output.terminal.live import View, choose_view
from coordinator.output.terminal.live_engines import engine_lines
from coordinator.output.terminal.machines import machine_lines
from coordinator.output.terminal.plain import Line, engine_words, has_rates, machine_words, notice_lines
from coordinator.output.terminal.screen import chart_title, paging_line
from coordinator.output.terminal.trend import Trend, cells_in

_GAP = "  "
_MAX_NOTICES = 2
_NAME_MAX = 32
_WHOLE, _LESS = 22, 6
"""A name of so many cells is worth more than columns from this `keep` on: 203.0.113.255:65535 is whole then."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table.  On a narrow terminal the column with the highest `keep` is left out first."""

    title: str
    width: int
    keep: int
    cell: Callable[[HttpTargetRow], str]


_COLUMNS = (
    _Column("conns", 6, 7, lambda row: fmt.count(row.connections)),
    _Column("req/s", 9, 0, lambda row: fmt.rate(row.per_s)),
    _Column("Mbit/s", 8, 5, lambda row: fmt.rate(row.mbit_per_s)),
    _Column("p50 ms", 7, 4, lambda row: live_millis(row.p50_ms)),
    _Column("p99 ms", 7, 3, lambda row: live_millis(row.p99_ms)),
    _Column("max ms", 7, 6, lambda row: live_millis(row.max_ms)),
    _Column("errors", 7, 1, lambda row: fmt.count(row.errors)),
    _Column("shed", 6, 2, lambda row: fmt.count(row.shed)),
)


def open_http_view(console: Console) -> View[HttpView]:
    """The live screen where the terminal can move its cursor, plain lines everywhere else."""
    return choose_view(console, HttpScreens(), http_news)


def http_news(view: HttpView) -> Iterator[Line]:
    """One line for each complete interval and for each phase, and each notice once."""
    yield from notice_lines(view.notices)
    at, total = view.position, view.total
    newest = [
        f"req/s={total.per_s:.1f}",
        f"Mbit/s={total.mbit_per_s:.1f}",
        f"p50_ms={live_number(total.p50_ms)}",
        f"p99_ms={live_number(total.p99_ms)}",
    ]
    measured = has_rates(view.interval, at.phase)
    parts = [
        f"{at.elapsed_s:.0f}/{at.total_s:.0f}s {at.phase}",
        *(newest if measured else []),
        f"errors={total.errors}",
        f"shed={total.shed}",
        *(
            [f"statuses={','.join(f'{code}:{number}' for code, number in view.statuses.items())}"]
            if _mixed(view)
            else []
        ),
        *(engine_words(view.engines) if measured else []),
        *machine_words(view.machines),
    ]
    yield Line((view.interval, at.phase), " ".join(parts))


def _mixed(view: HttpView) -> bool:
    """Whether there are other status codes than 200."""
    return bool(view.statuses.keys() - {200})


@dataclass(frozen=True, slots=True)
class HttpScreen:
    """The live screen.  `trend` has the requests per second of the last minute, of each target and then of all."""

    view: HttpView
    controls: Controls = UNTOUCHED
    trend: Trend | None = None

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen: at most `height - 1` lines of at most `width` cells."""
        view, at = self.view, self.view.position
        where = at.phase + (f" {at.phase_elapsed_s:.0f}/{at.phase_length_s:.0f} s" if at.phase_length_s else "")
        share = at.elapsed_s / at.total_s if at.total_s else 0.0
        remaining_s = max(0.0, at.total_s - at.elapsed_s)
        below = [*self._engines(ascii_only), *self._notices()]
        lines = [Text(view.title, "bold"), progress_line(where, share, remaining_s, width, ascii_only)]
        free = height - 1 - len(lines) - len(below)
        blank = [Text()] if free > len(view.targets) + 4 else []
        lines += [*blank, *self._table(width, self._window(free), ascii_only), *blank, *below]
        return fitted(lines, width, height, ascii_only)

    def window(self, width: int, height: int) -> Window:
        """The targets that are shown."""
        return self._window(height - 3 - len([*self._engines(ascii_only=True), *self._notices()]))

    def _window(self, free: int) -> Window:
        """The targets that fit into `free` lines, beside the headings and the sum."""
        total, room = len(self.view.targets), max(0, free - 2)
        if total > room:
            room = max(0, room - 1)  # one line says which they are
            return window(total, room, self.controls, Window(rows=room, total=total, order=Order.WORST))
        return window(total, room, self.controls, Window(rows=total, total=total))

    def _engines(self, ascii_only: bool) -> list[Text]:
        view = self.view
        if view.machines:
            return machine_lines(view.machines, 1, ascii_only=ascii_only)
        return engine_lines(view.engines, min(1, len(view.engines)))  # there is none before the first interval

    def _notices(self) -> list[Text]:
        notices = notice_rows(self.view.notices, _MAX_NOTICES)
        if _mixed(self.view):
            found = (f"{code} {fmt.count(number)}" for code, number in self.view.statuses.items())
            notices.insert(0, Text(f"Statuses: {', '.join(found)}"))
        return notices

    def _table(self, width: int, shown: Window, ascii_only: bool) -> Iterator[Text]:
        """The headings, the targets that fit, and the sum; one target is its own sum."""
        view = self.view
        columns, name, chart = self._choose(width)

        def cells(mark: str, first: str, values: Sequence[str]) -> str:
            padded = [
                fmt.pad(value, column.width, right=True, ascii_only=ascii_only)
                for value, column in zip(values, columns, strict=True)
            ]
            return _GAP.join([mark + fmt.pad_name(first, name - 1, ascii_only=ascii_only), *padded])

        heading = cells(" ", "target", [column.title for column in columns])
        yield Text(heading + (_GAP + fmt.pad(chart_title("req/s", chart), chart) if chart else ""), "dim bold")
        alone = len(view.targets) == 1
        for at, row in [*([] if alone else self._rows(shown)), (len(view.targets), view.total)]:
            label = view.targets[0].name if alone else row.name
            style = "red" if _wrong(row) else "bold" if row is view.total else ""
            line = Text(cells("!" if _wrong(row) else " ", label, [column.cell(row) for column in columns]), style)
            if self.trend and chart:
                line.append(_GAP + self.trend.line(at, chart, ascii_only=ascii_only), "not bold")
            yield line
        if not shown.whole and not alone:
            worst = sorted((row for row in view.targets if _wrong(row)), key=_badness, reverse=True)
            said = shown.words("targets") if shown.rows else f"{shown.total:,} targets, too many for this terminal"
            yield paging_line(said, [row.name for row in worst], "target", width)

    def _choose(self, width: int) -> tuple[list[_Column], int, int]:
        """The columns that fit, the width of the name with its mark, and the cells of a chart (0: none)."""
        view = self.view
        columns = [column for column in _COLUMNS if column.title != "shed" or view.total.shed]
        wanted = min(_NAME_MAX, max(cell_len(row.name) for row in (*view.targets, view.total)) + 1)
        while columns:
            least = max(columns, key=lambda column: column.keep)
            name = min(wanted, _WHOLE if least.keep >= _LESS else 14)
            if width >= name + sum(column.width + len(_GAP) for column in columns):
                break
            columns.remove(least)
        room = width - sum(column.width + len(_GAP) for column in columns)
        name = max(1, min(wanted, room))
        return columns, name, cells_in(room - name - len(_GAP)) if self.trend and columns else 0

    def _rows(self, shown: Window) -> Sequence[tuple[int, HttpTargetRow]]:
        """The rows that are shown, each with its number."""
        rows = list(enumerate(self.view.targets))
        if shown.order is Order.WORST:
            rows.sort(key=lambda row: _badness(row[1]), reverse=True)
        return rows[shown.first : shown.first + shown.rows]


class HttpScreens:
    """Makes the screens of one run, and keeps the last minute of each target."""

    def __init__(self) -> None:
        self._trend = Trend()

    def __call__(self, view: HttpView, controls: Controls) -> HttpScreen:
        """The screen of `view`."""
        if view.interval >= 0:
            self._trend.add(view.interval, [row.per_s for row in (*view.targets, view.total)])
        return HttpScreen(view, controls, self._trend)


def _wrong(row: HttpTargetRow) -> bool:
    return row.errors + row.shed > 0


def _badness(row: HttpTargetRow) -> tuple[int, float]:
    """How bad a target is: errors and shed requests, then slowness."""
    return row.errors + row.shed, -1.0 if row.p99_ms is None else row.p99_ms.low
