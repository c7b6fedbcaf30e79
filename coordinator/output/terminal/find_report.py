"""The report of a search for a capacity: the answer, and the curve of all runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
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
)
from coordinator.record.find_result import Find, FindStep, Wanted
from loadgen.model.units import counted
from loadgen.verdict.capacity import Seen
from loadgen.verdict.result import Verdict

_TITLES = {
    Wanted.CONNECTIONS: "The greatest number of connections per VM that conform",
    Wanted.VMS: "The greatest number of VMs that conform",
    Wanted.RATE: "The highest rate at which the objectives hold",
}


def print_find(console: Console, judged: Judged[Any, Find]) -> None:
    """Print the answer and the curve of a search."""
    console.print(_report(judged), width=min(WIDTH, console.width))


def _report(judged: Judged[Any, Find]) -> RenderableType:
    find = judged.result
    parts: list[RenderableType] = [
        Text(_TITLES[find.wanted], "bold"),
        Text(_fixed(find, judged.header.plan)),
        Text(setup_line(judged.header)),
        *shared_lines(judged.header),
        Text(),
    ]
    if judged.cut:
        parts += [Text(f"{cut_title(judged.cut)}: {judged.cut}.", "bold yellow"), Text()]
    parts += [_curve(find), Text()]
    if not judged.cut:  # a search that was cut has no verdict: it does not know the answer yet
        parts.append(verdict_line(find.verdict, _word(find)))
    parts.append(bullets("-", find.reasons))
    return Group(*parts, *where(judged.path))


def _fixed(find: Find, plan: Any) -> str:
    """The numbers that stay the same in all runs."""
    if find.wanted is Wanted.RATE:
        return f"{counted(plan.connections, 'connection')}, objectives {', '.join(plan.slos)}, seed {plan.seed}"
    each = f"{counted(plan.connections, 'connection')} per VM"
    fixed = counted(plan.vms, "VM") if find.wanted is Wanted.CONNECTIONS else each
    return f"{fixed}, seed {plan.seed}"


def _word(find: Find) -> str:
    """The answer in a few words; "" where the verdict says it."""
    return answer_of(find) if find.verdict is Verdict.CONFORMING else ""


def answer_of(find: Find) -> str:
    """The answer so far in a few words: `20 VMs`, `about 20 VMs`, `at least 20 VMs`; "" without one."""
    capacity = find.capacity
    if not capacity.value:
        return ""
    return f"{capacity.qualifier}{find.wanted.words(capacity.value)}"


def _curve(find: Find) -> RenderableType:
    """One row for each number, the smallest first."""
    table = plain_table("")
    rate = find.wanted is Wanted.RATE
    for title in (find.wanted.value, "runs", "held", "asked", "answered/s" if rate else "conform", "p99 ms"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdicts")  # gives way, so that no number is cut
    in_order = sorted(find.steps, key=lambda step: step.value)
    for value, steps in groupby(in_order, key=lambda step: step.value):
        add_row(table, *_cells(find, value, list(steps)))
    return table


def _cells(find: Find, value: int, steps: Sequence[FindStep]) -> Iterator[str]:
    seen = [step.trial.seen for step in steps]
    yield fmt.count(value)
    yield fmt.count(len(steps))
    yield fmt.count(seen.count(Seen.HELD))
    yield fmt.count(round(steps[0].asked))
    yield _between([step.reached for step in steps])
    yield _between([step.p99_ms for step in steps], digits=1)
    yield ", ".join(dict.fromkeys(step.verdict.value if step.started else "did not start" for step in steps))


def _between(values: Sequence[float | None], digits: int = 0) -> str:
    """The values as `low..high`, or as one number when they are equal."""
    known = [value for value in values if value is not None]
    if not known:
        return fmt.NOTHING
    low, high = (f"{value:,.{digits}f}" for value in (min(known), max(known)))
    return low if low == high else f"{low}..{high}"
