"""The live view of a `loadgen http` run: a screen by the rules of :mod:`.screen` on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.http_view import HttpTargetRow, HttpView
from coordinator.output.terminal.intervals import live_millis, live_number
from coordinator.output.terminal.live import View, choose_view
from coordinator.output.terminal.machines import machine_lines
from coordinator.output.terminal.plain import Line, engine_words, has_rates, machine_words, notice_lines
from coordinator.output.terminal.screen import cut_line, engine_lines, progress_line

_GAP = "  "
_MAX_NOTICES = 2
_NAME_MAX = 32


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
    _Column("Mbit/s", 8, 4, lambda row: fmt.rate(row.mbit_per_s)),
    _Column("p50 ms", 7, 3, lambda row: live_millis(row.p50_ms)),
    _Column("p99 ms", 7, 2, lambda row: live_millis(row.p99_ms)),
    _Column("max ms", 7, 5, lambda row: live_millis(row.max_ms)),
    _Column("errors", 7, 1, lambda row: fmt.count(row.errors)),
    _Column("shed", 6, 6, lambda row: fmt.count(row.shed)),
)


def open_http_view(console: Console) -> View[HttpView]:
    """The live screen where the terminal can move its cursor, plain lines everywhere else."""
    return choose_view(console, HttpScreen, http_news)


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
    """The live screen as a rich renderable, which measures the terminal each time it is drawn."""

    view: HttpView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n", no_wrap=True).join(
            self.lines(options.max_width, options.size.height, ascii_only=options.ascii_only)
        )

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen: at most `height - 1` lines of at most `width` cells."""
        view, at = self.view, self.view.position
        where = at.phase + (f" {at.phase_elapsed_s:.0f}/{at.phase_length_s:.0f} s" if at.phase_length_s else "")
        share = at.elapsed_s / at.total_s if at.total_s else 0.0
        remaining_s = max(0.0, at.total_s - at.elapsed_s)
        notices = [Text(f"! {notice}", "yellow") for notice in view.notices[-_MAX_NOTICES:]]
        if _mixed(view):
            found = (f"{code} {fmt.count(number)}" for code, number in view.statuses.items())
            notices.insert(0, Text(f"Statuses: {', '.join(found)}"))
        if view.machines:
            below = machine_lines(view.machines, 1, ascii_only=ascii_only)
        else:
            below = engine_lines(
                view.engines, min(1, len(view.engines))
            )  # there is no engine before the first interval
        lines = [Text(view.title, "bold"), progress_line(where, share, remaining_s, width, ascii_only)]
        free = height - 1 - len(lines) - len(notices) - len(below)
        blank = [Text()] if free > len(view.targets) + 4 else []
        lines += [*blank, *self._table(width, free - 2 * len(blank), ascii_only), *blank, *below, *notices]
        return [cut_line(line, width, ascii_only) for line in lines[: max(1, height - 1)]]

    def _table(self, width: int, height: int, ascii_only: bool) -> Iterator[Text]:
        """The headings, the targets that fit (first those with errors, then in the given order), and the sum."""
        view = self.view
        columns = [column for column in _COLUMNS if column.title != "shed" or view.total.shed]
        name = min(_NAME_MAX, max(cell_len(row.name) for row in (*view.targets, view.total)) + 1)
        while columns and width < min(name, 14) + sum(column.width + len(_GAP) for column in columns):
            columns.remove(max(columns, key=lambda column: column.keep))
        name = max(1, min(name, width - sum(column.width + len(_GAP) for column in columns)))

        def cells(mark: str, first: str, values: list[str]) -> str:
            padded = [
                fmt.pad(value, column.width, right=True, ascii_only=ascii_only)
                for value, column in zip(values, columns, strict=True)
            ]
            return _GAP.join([mark + fmt.pad(first, name - 1, ascii_only=ascii_only), *padded])

        yield Text(cells(" ", "target", [column.title for column in columns]), "dim bold")
        rows = [view.total] if len(view.targets) == 1 else [*self._shown(height), view.total]
        for row in rows:
            wrong = row.errors or row.shed
            label = view.targets[0].name if len(view.targets) == 1 else row.name
            style = "red" if wrong else "bold" if row is view.total else ""
            yield Text(cells("!" if wrong else " ", label, [column.cell(row) for column in columns]), style)

    def _shown(self, height: int) -> list[HttpTargetRow]:
        targets, room = self.view.targets, max(0, height - 2)
        if len(targets) <= room:
            return list(targets)
        chosen = sorted(range(len(targets)), key=lambda at: (-targets[at].errors - targets[at].shed, at))[:room]
        return [targets[at] for at in sorted(chosen)]
