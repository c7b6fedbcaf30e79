"""The report of a run with `--check-headroom`: the runs, and how far the load generator was from being the limit."""

from __future__ import annotations

from collections.abc import Iterator
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
from coordinator.record.headroom_result import HeadroomResult, HeadroomStep, Role

_NAMES = {Role.RUN: "the run", Role.MORE: "one engine more", Role.ALONE: "null responder"}


def print_headroom(console: Console, judged: Judged[Any, HeadroomResult]) -> None:
    """Print the runs and the answer."""
    console.print(_report(judged), width=min(WIDTH, console.width))


def _report(judged: Judged[Any, HeadroomResult]) -> RenderableType:
    result = judged.result
    parts: list[RenderableType] = [
        Text("How far was the load generator from being the limit?", "bold"),
        Text(setup_line(judged.header)),
        *shared_lines(judged.header),
        Text(),
    ]
    if judged.cut:
        parts += [Text(f"{cut_title(judged.cut)}: {judged.cut}.", "bold yellow"), Text()]
    parts += [_table(result, judged.header.plan), Text()]
    if not judged.cut:  # the question about the load generator has no answer yet
        parts.append(verdict_line(result.verdict, word_of(result.verdict, judged.header.plan).upper()))
    parts.append(bullets("-", result.reasons))
    parts += [*where(judged.path), Text(f"The report of the run itself: loadgen show {judged.path / Role.RUN.value}")]
    return Group(*parts)


def _table(result: HeadroomResult, plan: Any) -> RenderableType:
    table = plain_table("")
    table.add_column("", no_wrap=True)
    for title in ("engines", "requests/s", "times", "busiest engine"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for step in result.steps:
        add_row(table, *_cells(step, result.steps[0].per_s, plan))
    return table


def _cells(step: HeadroomStep, of_run: float | None, plan: Any) -> Iterator[str]:
    yield _NAMES[step.role]
    yield fmt.count(step.engines)
    yield fmt.NOTHING if step.per_s is None else fmt.rate(step.per_s)
    yield fmt.NOTHING if step.per_s is None or not of_run else f"{step.per_s / of_run:,.2f}"
    yield fmt.NOTHING if step.busy_share is None else f"{step.busy_share:.0%}"
    # A run as fast as the load generator can is INVALID by its nature: its verdict would only confuse.
    yield fmt.NOTHING if step.role is Role.ALONE else word_of(step.verdict, plan)
