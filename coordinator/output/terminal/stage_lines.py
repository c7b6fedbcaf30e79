"""The stages in the report of a `loadgen http` run: a table, and in which of them each objective was missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.intervals import Words
from coordinator.output.terminal.parts import add_row, bullets, plain_table
from loadgen.model.units import number
from loadgen.verdict.http_result import StageRow
from loadgen.verdict.slo import SloCheck

_COLUMNS = ("asked/s", "due", "ok", "failed", "cut", "ok/s", "p50", "p99")
_MOST = 40
"""Stages that have a line of their own; run.json has all of them."""

_NAMED = 6
"""Stages that are named where an objective was missed; the others are counted."""


def stage_lines(stages: Sequence[StageRow], words: Words) -> Iterator[RenderableType]:
    """The lines about the stages; nothing without stages."""
    if not stages:
        return
    table = plain_table("Stages (requests by the time when they were due)")
    table.add_column("", width=1)
    table.add_column("stage", overflow="fold")
    for title in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for row in stages[:_MOST]:
        failed = bool(row.errors or row.unanswered or any(not check.ok for check in row.slos))
        add_row(table, "!" if failed else " ", row.stage, *_cells(row, words))
    yield table
    if len(stages) > _MOST:
        yield Text(f"and {len(stages) - _MOST} more stages: run.json has all of them")
    if judged := [row for row in stages if row.slos]:
        yield Text("Objectives in each stage (the verdict is on the whole run):")
        yield bullets("-", [_objective(at, judged, words) for at in range(len(judged[0].slos))])
    yield Text()


def _cells(row: StageRow, words: Words) -> Iterator[str]:
    if not row.measured_s:
        yield from ("not played", *[fmt.NOTHING] * (len(_COLUMNS) - 1))
        return
    yield fmt.rate(row.asked_per_s)
    yield fmt.count(row.due)
    yield fmt.count(row.ok)
    yield fmt.count(sum(row.errors.values()))
    yield fmt.count(row.cut)
    yield fmt.rate(row.per_s)
    yield words.short(row.response_ms.p50)
    yield words.short(row.response_ms.p99)


def _objective(at: int, judged: Sequence[StageRow], words: Words) -> str:
    """In which stages the objective number `at` was missed."""
    first = judged[0].slos[at]
    name = f"{first.name} {first.relation} {number(first.limit)} {first.unit}"
    missed = [(row, row.slos[at]) for row in judged if not row.slos[at].ok]
    if not missed:
        return f"{name}: held in each"
    named = [f"stage {row.number} ({row.stage}): {_value(check, words)}" for row, check in missed[:_NAMED]]
    more = [f"{len(missed) - _NAMED} more"] if len(missed) > _NAMED else []
    return f"{name}: missed in {'; '.join([*named, *more])}"


def _value(check: SloCheck, words: Words) -> str:
    if not check.known:
        return f"not known, {check.detail}"
    value = f"{number(check.value)} {check.unit}"
    return words.at_least(value) if check.at_least else value
