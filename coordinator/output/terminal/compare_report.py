"""The report of a comparison of groups of runs: text, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.output.judged import Judged
from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.parts import (
    WIDTH,
    add_row,
    bullets,
    cut_title,
    plain_table,
    setup_line,
    shared_lines,
    verdict_line,
    where,
)
from coordinator.output.terminal.repeats_report import title_of
from coordinator.record.interleaved_result import Interleaved
from loadgen.model.units import counted, number
from loadgen.verdict.compare import CONFIDENCE, times
from loadgen.verdict.compare_result import CompareRow, Comparison, Unlike
from loadgen.verdict.relative_result import Difference
from loadgen.verdict.result import Verdict

_WORDS = {
    Difference.FIRST: "",
    Difference.BETTER: "better",
    Difference.WORSE: "worse",
    Difference.NOT_SHOWN: "no difference shown",
    Difference.UNKNOWN: "no interval",
}

_BY_RANKS = "the median of the ratios of all pairs of runs, with the interval of the rank-sum test"
_BY_ROUNDS = "the geometric mean of the ratios of the rounds, with the interval of Student's t on their logarithms"


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print the comparison."""
    console.print(Group(*comparison_parts(comparison)), width=min(WIDTH, console.width))


def print_interleaved(console: Console, judged: Judged[Any, Interleaved]) -> None:
    """Print the comparison of plans that were played in turns."""
    result = judged.result
    parts: list[RenderableType] = [
        Text(f"Runs in turns: {counted(len(result.plans), 'plan')}, {counted(result.rounds, 'round')}", "bold"),
        Text(setup_line(judged.header)),
        *shared_lines(judged.header),
        Text(),
    ]
    if judged.cut:
        parts += [Text(f"{cut_title(judged.cut)}: {judged.cut}.", "bold yellow"), Text()]
    parts += comparison_parts(result.comparison, cut=bool(judged.cut))
    console.print(Group(*parts, *where(judged.path)), width=min(WIDTH, console.width))


def comparison_parts(comparison: Comparison, *, cut: bool = False) -> Iterator[RenderableType]:
    """The groups, what differs, the numbers, and the verdict; without the verdict for one that was cut."""
    yield _sides(comparison)
    yield Text()
    yield from _unlike("Plans differ:", comparison, comparison.plans)
    yield from _unlike("Machine and software differ:", comparison, comparison.environments)
    if comparison.rows:
        yield _table(comparison)
        method = _BY_ROUNDS if comparison.in_rounds else _BY_RANKS
        yield Text(f"times {comparison.sides[0].name}: {method}", "dim")
        yield Text()
    if not cut:
        yield verdict_line(
            comparison.verdict, "VALID" if comparison.verdict is Verdict.CONFORMING else _word(comparison)
        )
    yield bullets("-", comparison.reasons)
    if comparison.notes:
        yield bullets("note:", comparison.notes)


def _word(comparison: Comparison) -> str:
    return "WORSE" if comparison.verdict is Verdict.NOT_CONFORMING else ""


def _sides(comparison: Comparison) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for side in comparison.sides:
        add_row(grid, side.name, side.record, f"{fmt.count(side.valid)} of {fmt.count(side.runs)} runs count")
    return grid


def _unlike(title: str, comparison: Comparison, found: Sequence[Unlike]) -> Iterator[RenderableType]:
    if not found:
        return
    yield Text(title, "bold")
    for one in found:
        pairs = zip(comparison.sides, one.values, strict=True)
        yield bullets("-", [f"{one.what}: {', '.join(f'{side.name} {text}' for side, text in pairs)}"])
    yield Text()


def _table(comparison: Comparison) -> RenderableType:
    table = plain_table("")
    table.add_column("")
    table.add_column("")
    first = comparison.sides[0].name
    for title in ("median", f"times {first}", f"{100 * CONFIDENCE:g} % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    last = ""
    for row in comparison.rows:
        title = title_of(row.name, row.unit)
        add_row(table, "" if title == last else title, *_cells(row))
        last = title
    return table


def _cells(row: CompareRow) -> Iterator[str]:
    yield row.side
    yield ("≥" if row.at_least else "") + number(row.median)
    yield "" if row.difference is Difference.FIRST else fmt.NOTHING if row.ratio is None else _short(row.ratio)
    known = row.ratio_low is not None and row.ratio_high is not None
    yield f"{_short(row.ratio_low or 0.0)}..{_short(row.ratio_high or 0.0)}" if known else ""
    yield _WORDS[row.difference] + (", beyond the limit" if row.too_bad else "")


def _short(ratio: float) -> str:
    text = times(ratio)
    return text if text[0].isdigit() else "inf"
