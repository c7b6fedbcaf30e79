"""The reports of `loadgen relative` and of one of its rounds: text for stdout, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    cut_banner,
    own_version,
    plain_table,
    setup_line,
    verdict_line,
    where,
)
from coordinator.output.terminal.relative_live import say_trial
from coordinator.record.header import Header
from loadgen.model.relative import Better, RelativePlan
from loadgen.model.units import counted, format_size
from loadgen.verdict.relative_result import Difference, RelativeResult, RelativeRow, RoundResult
from loadgen.verdict.result import Verdict

_MOST_TABLES = 4
"""More metrics than these share one table."""

_WIDE_ENOUGH = (2, 3)
"""So many environments fit into the columns of that table."""

_MOST_COMMAND = 300

_HUGE = 9999

METHOD = (
    "relative: how many times as good as the first environment (above 1 is better); the geometric mean of the ratios "
    "of the rounds, with its 95 % confidence interval by Student's t on their logarithms; not shown: this interval "
    "holds 1"
)


def print_relative(console: Console, judged: Judged[RelativePlan, RelativeResult]) -> None:
    """Print the report of a comparison."""
    console.print(Group(*_parts(judged)), width=min(WIDTH, console.width))


def print_round(console: Console, judged: Judged[RelativePlan, RoundResult]) -> None:
    """Print the report of one round."""
    result, header = judged.result, judged.header
    table = plain_table("Trials")
    for title in ("", "environment", "measured"):
        table.add_column(title)
    for trial in result.round.trials:
        add_row(table, str(trial.position), trial.environment, say_trial(trial))
    parts: list[RenderableType] = [
        Text(f"Relative performance: round {result.round.number} of {header.plan.trials}", "bold"),
        *_setup(header),
        Text(),
        *cut_banner(judged.cut),
        table,
        Text(),
        verdict_line(result.verdict, _word(result.verdict)),
        bullets("-", result.reasons),
        *([bullets("note:", result.notes)] if result.notes else []),
        *where(judged.path),
    ]
    console.print(Group(*parts), width=min(WIDTH, console.width))


def _parts(judged: Judged[RelativePlan, RelativeResult]) -> Iterator[RenderableType]:
    result, header = judged.result, judged.header
    yield Text("Relative performance", "bold")
    yield from _setup(header)
    yield Text()
    yield from cut_banner(judged.cut)
    if not result.rows:
        yield Text("Nothing was measured.", "bold")
    for table in _tables(header.plan, result.rows):
        yield table
        yield Text()
    if result.rows and len(header.plan.environments) > 1:
        yield Text(METHOD, "dim")
        yield Text()
    if not judged.cut:  # a comparison that was cut has no verdict: its rounds do not answer the whole question
        yield verdict_line(result.verdict, _word(result.verdict))
    if result.reasons:  # of one environment alone, there is nothing to say
        yield bullets("-", result.reasons)
    if result.notes:
        yield bullets("note:", result.notes)
    yield from where(judged.path)


def _word(verdict: Verdict) -> str:
    return "VALID" if verdict is Verdict.CONFORMING else ""


def _setup(header: Header[RelativePlan]) -> list[RenderableType]:
    plan = header.plan
    grid = Table.grid(padding=(0, 2))
    add_row(grid, "started", header.started_at)
    command = f"recipe {plan.recipe}" if plan.recipe else " ".join(plan.command)
    add_row(grid, "command", command if len(command) <= _MOST_COMMAND else f"{command[:_MOST_COMMAND]} ...")
    once = f"{fmt.count(plan.vms)} VMs at once, " if plan.vms > 1 else ""
    warm = f" after {counted(plan.warmups, 'warm-up')}" if plan.warmups else ""
    add_row(grid, "trials", f"{once}{fmt.count(plan.trials)} in each environment{warm}, order by seed {plan.seed}")
    known = header.environment.server.get("environments", {})
    for name in plan.environments:
        add_row(grid, name, _say_environment(name, known.get(name, {})))
    add_row(grid, "machine", setup_line(header))
    add_row(grid, "loadgen", own_version(header))
    return [grid]


_UNITS = {"memory_bytes": "of memory", "disk_bytes_per_s": "/s of disk"}


def _say_environment(name: str, details: Mapping[str, Any]) -> str:
    limits = details.get("limits", {})
    words = []
    for limit, value in limits.items():
        if limit in _UNITS:
            words.append(f"{format_size(value)} {_UNITS[limit]}")
        elif limit in ("cpus", "pids"):
            words.append(f"{value:g} {'CPUs' if limit == 'cpus' else 'processes'}")
    engine = details.get("engine", "")
    kind = "this machine itself" if name == "bare" else f"fresh containers of {engine}" if engine else "fresh VMs"
    limited = f"at most {', '.join(words)}" if words else "no limits"
    scheduler = details.get("scheduler", "")
    return ", ".join(word for word in (kind, limited, scheduler) if word)


def _tables(plan: RelativePlan, rows: Sequence[RelativeRow]) -> Iterator[RenderableType]:
    metrics = dict.fromkeys(row.metric for row in rows)
    if len(metrics) > _MOST_TABLES and len(plan.environments) in _WIDE_ENOUGH:
        yield _one_for_all(plan, rows, list(metrics))
        return
    for metric in metrics:
        own = [row for row in rows if row.metric == metric]
        yield _table(own)
        if plan.vms > 1:
            yield bullets("", [_between_vms(plan, row) for row in own])


def _between_vms(plan: RelativePlan, row: RelativeRow) -> str:
    """The spread between the VMs of an environment, and what they do together where that is a sum."""
    spread = f"{row.environment}: {number(row.vm_low)} to {number(row.vm_high)} between the {plan.vms} VMs"
    if row.better is Better.LOWER:
        return spread
    unit = f" {row.unit}" if row.unit else ""
    return f"{spread}, {number(plan.vms * row.mean)}{unit} in all"


def _table(rows: Sequence[RelativeRow]) -> Table:
    """The environments at one metric."""
    first = rows[0]
    unit = f", {first.unit}" if first.unit else ""
    better = "higher" if first.better is Better.HIGHER else "lower"
    table = plain_table(f"{first.metric}{unit} ({better} is better)")
    table.add_column("", no_wrap=True)
    titles = ("n", "mean", "sd", "median", "relative", "95 % interval", "")
    for title in titles:
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    for row in rows:
        add_row(
            table,
            row.environment,
            fmt.count(len(row.values)),
            number(row.mean),
            number(row.sd),
            number(row.median),
            _ratio(row.relative),
            _interval(row),
            _said(row),
        )
    return table


def _one_for_all(plan: RelativePlan, rows: Sequence[RelativeRow], metrics: Sequence[str]) -> Table:
    """A line for each metric: its mean in the first environment, and the ratios of the others."""
    first, *others = plan.environments
    table = plain_table("Means in the first environment, and how many times as good the others are")
    table.add_column("", no_wrap=True)
    table.add_column(first, justify="right", no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
        table.add_column("95 % interval", no_wrap=True)
    found = {(row.metric, row.environment): row for row in rows}
    for metric in metrics:
        base = found.get((metric, first))
        cells = [found.get((metric, name)) for name in others]
        unit = next(row.unit for row in rows if row.metric == metric)
        add_row(
            table,
            f"{metric}, {unit}" if unit else metric,
            number(base.mean if base else None),
            *(text for row in cells for text in ((_ratio(row.relative), _marked(row)) if row else ("-", "-"))),
        )
    return table


def _marked(row: RelativeRow) -> str:
    mark = {Difference.BETTER: " +", Difference.WORSE: " -"}.get(row.difference, "")
    return f"{_interval(row)}{mark}"


def _ratio(value: float | None) -> str:
    if value is None:
        return fmt.NOTHING
    if value >= _HUGE:
        return f">{_HUGE}"
    return f"{value:.{3 if value < 10 else 1 if value < 100 else 0}f}"


def _interval(row: RelativeRow) -> str:
    if row.relative_low is None or row.relative_high is None:
        return "" if row.difference is Difference.FIRST else fmt.NOTHING
    return f"{_ratio(row.relative_low)}-{_ratio(row.relative_high)}"


def _said(row: RelativeRow) -> str:
    return {Difference.BETTER: "better", Difference.WORSE: "worse", Difference.NOT_SHOWN: "not shown"}.get(
        row.difference, ""
    )


def number(value: float | None) -> str:
    """A number with four significant digits; NOTHING for None."""
    if value is None:
        return fmt.NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
