"""The report of repeated runs: each number with its interval, and all runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
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
    word_of,
)
from loadgen.model.http_plan import HttpPlan
from loadgen.model.units import counted, number
from loadgen.verdict.ranks import CONFIDENCE
from loadgen.verdict.repeats import OneOfMany, Repeats, RepeatsRow

_STANDS_OUT = "*"
_MOST_COLUMNS = 4


def print_repeats(console: Console, judged: Judged[Any, Repeats]) -> None:
    """Print the numbers over all runs, and the runs."""
    console.print(Group(*_parts(judged)), width=min(WIDTH, console.width))


def _parts(judged: Judged[Any, Repeats]) -> Iterator[RenderableType]:
    repeats, plan = judged.result, judged.header.plan
    yield Text(f"Repeated {judged.header.kind.partition('-')[0]} run: {counted(repeats.asked, 'run')}", "bold")
    yield Text(_asked(plan))
    yield Text(setup_line(judged.header))
    yield from shared_lines(judged.header)
    yield Text()
    if judged.cut:
        yield Text(f"{cut_title(judged.cut)}: {judged.cut}.", "bold yellow")
        yield Text()
    rows = repeats.rows
    if rows:
        yield _numbers(rows)
        yield Text()
    if repeats.runs:
        yield runs_table(repeats.runs, rows, plan)
        yield Text()
    if not judged.cut:  # runs that were cut have no verdict: they do not answer the whole question
        yield verdict_line(repeats.verdict, word_of(repeats.verdict, plan).upper())
    yield bullets("-", repeats.reasons)
    yield from where(judged.path)


def _asked(plan: Any) -> str:
    if isinstance(plan, HttpPlan):
        return f"{counted(plan.connections, 'connection')}, seed {plan.seed}"
    return f"{counted(plan.vms, 'VM')}, {counted(plan.connections, 'connection')} per VM, seed {plan.seed}"


def _numbers(rows: Sequence[RepeatsRow]) -> RenderableType:
    table = plain_table("")
    table.add_column("", no_wrap=True)
    for title in ("median", f"{100 * CONFIDENCE:g} % interval", "lowest..highest", "variation"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        sample = row.sample
        known = sample.low is not None and sample.high is not None
        add_row(
            table,
            title_of(row.name, row.unit),
            number(sample.median),
            between(sample.low, sample.high) if known else fmt.NOTHING,
            between(min(sample.values), max(sample.values)),
            fmt.NOTHING if sample.variation is None else f"{100 * sample.variation:.1f} %",
            ", ".join(_marks(row)),
        )
    return table


def _marks(row: RepeatsRow) -> Iterator[str]:
    if row.sample.noisy:
        yield "noisy"
    if row.sample.drift is not None:
        yield "drift"
    if row.at_least:
        yield "at least"


def runs_table(runs: Sequence[OneOfMany], rows: Sequence[RepeatsRow], plan: Any) -> RenderableType:
    """A row for each run, with its verdict and its first numbers; those that stand out have a mark."""
    shown = rows[:_MOST_COLUMNS]
    table = plain_table("")
    table.add_column("run", no_wrap=True)
    for row in shown:
        table.add_column(title_of(row.name, row.unit), justify="right")
    table.add_column("verdict", no_wrap=True)
    for run in runs:
        add_row(table, run.record, *(_cell(run, row) for row in shown), word_of(run.verdict, plan))
    if any(row.sample.outliers for row in shown):
        return Group(table, Text(f"{_STANDS_OUT} stands out", "dim"))
    return table


def _cell(run: OneOfMany, row: RepeatsRow) -> str:
    values = [value for figure in run.figures if figure.name == row.name for value in figure.values]
    if not values or not run.counts:
        return fmt.NOTHING
    out = run.record in {row.records[at] for at in row.sample.outliers}
    return between(min(values), max(values)) + (_STANDS_OUT if out else "")


def title_of(name: str, unit: str) -> str:
    """The name of a number with its unit, where its name does not say the unit."""
    return name if unit in ("", "1/s") else f"{name}, {unit}"


def between(low: float | None, high: float | None) -> str:
    """`low..high`, or one number when both look alike; NOTHING when one is not known."""
    if low is None or high is None:
        return fmt.NOTHING
    first, last = number(low), number(high)
    return first if first == last else f"{first}..{last}"
