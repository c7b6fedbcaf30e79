"""The report of a sweep over numbers of VMs: a table of its points, and bars of conforming connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from coordinator.output.judged import RUNNING, Judged
from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.intervals import Words
from coordinator.output.terminal.margin_lines import edge
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
from coordinator.output.terminal.report import server_name, vms
from coordinator.record.header import RecordError
from coordinator.record.sweep_result import Sweep, SweepPoint
from loadgen.model.plan import SpecPlan
from loadgen.verdict.result import TargetResult, Verdict
from workloads.catalog import style_of


def print_sweep(console: Console, judged: Judged[SpecPlan, Sweep]) -> None:
    """Print the table and the bars of a sweep."""
    console.print(_report(judged, Words(console.options.ascii_only)), width=min(WIDTH, console.width))


def _report(judged: Judged[SpecPlan, Sweep], words: Words) -> RenderableType:
    sweep, header, cut = judged.result, judged.header, judged.cut
    if not sweep.points:
        how = "is still going on" if cut == RUNNING else "was cut"
        raise RecordError(
            f"{judged.path} is a sweep that {how}, and has no point that is done",
            hint="the records of its points are in the directories below it",
        )
    plan = header.plan
    parts: list[RenderableType] = [
        Text(f"{style_of(plan)} sweep over the number of VMs", "bold"),
        Text(f"{plan.connections:,} connections per VM, {server_name(header)}, seed {plan.seed}"),
        Text(setup_line(header)),
        *shared_lines(header),
        Text(),
    ]
    if cut:
        parts += [Text(f"{cut_title(cut)}: {cut}.", "bold yellow"), Text()]
    parts += [
        _table(sweep.points, words),
        *_edges(sweep.points),
        Text(),
        _Bars("Conforming connections, all VMs together", tuple(map(_aggregate, sweep.points))),
        Text(),
        _Bars("Conforming connections of a VM, mean", tuple(map(_per_vm, sweep.points))),
        Text(),
    ]
    # A sweep that was cut has no verdict: its finished points do not answer the whole question.
    parts += [bullets("-", sweep.reasons)] if cut else [verdict_line(sweep.verdict), bullets("-", sweep.reasons)]
    parts += where(judged.path)
    return Group(*parts)


def _table(points: Sequence[SweepPoint], words: Words) -> RenderableType:
    table = plain_table("")
    for title in ("VMs", "asked", "conform", "VM min", "VM mean", "ops/s", "Mbit/s", "p99 ms", "fair"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for point in points:
        add_row(table, *_cells(point, words))
    return table


def _edges(points: Sequence[SweepPoint]) -> list[RenderableType]:
    return [Text(f"{vms(point.vms)}: {said}", "bold") for point in points if (said := edge(point.result))]


def _cells(point: SweepPoint, words: Words) -> Iterator[str]:
    result = point.result
    yield fmt.count(point.vms)
    yield fmt.count(result.requested_connections)
    if not point.result.is_comparable:
        yield from [fmt.NOTHING] * 7
    else:
        median = result.iterations[result.median]
        yield fmt.count(result.conforming_connections or 0)
        yield fmt.count(min(_conforming(result.targets)))
        yield f"{_mean(result.targets):,.1f}"
        yield fmt.rate(median.ops_per_s)
        yield fmt.rate(median.kbit_per_s / 1000)
        yield words.short(median.response_ms.p99)
        yield fmt.NOTHING if result.fairness is None else fmt.ratio(result.fairness.jain)
    yield {Verdict.NOT_CONFORMING: "not conf."}.get(result.verdict, result.verdict.value)


def _conforming(targets: Sequence[TargetResult]) -> list[int]:
    return [row.conforming or 0 for row in targets]


def _mean(targets: Sequence[TargetResult]) -> float:
    return sum(_conforming(targets)) / len(targets)


@dataclass(frozen=True, slots=True)
class _Bar:
    """A bar that shows `full` out of `whole`, with `words` behind it.  Nothing is drawn when `whole` is 0."""

    label: str
    full: float
    whole: float
    words: str


def _aggregate(point: SweepPoint) -> _Bar:
    result = point.result
    if not point.result.is_comparable:
        return _nothing(point)
    conforming = result.conforming_connections or 0
    words = f"{fmt.count(conforming)} of {fmt.count(result.requested_connections)}"
    return _Bar(_label(point), conforming, result.requested_connections, words)


def _per_vm(point: SweepPoint) -> _Bar:
    targets = point.result.targets
    if not point.result.is_comparable:
        return _nothing(point)
    asked = point.result.requested_connections / len(targets)
    words = f"{_mean(targets):,.1f} (min {min(_conforming(targets)):,})"
    return _Bar(_label(point), _mean(targets), asked, words)


def _nothing(point: SweepPoint) -> _Bar:
    return _Bar(_label(point), 0, 0, f"{point.result.verdict.value}: nothing to draw")


def _label(point: SweepPoint) -> str:
    return vms(point.vms)


@dataclass(frozen=True, slots=True)
class _Bars:
    """Horizontal bars on one scale: full cells are conforming connections, shaded cells the other requested ones."""

    title: str
    bars: tuple[_Bar, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        labels = max(len(bar.label) for bar in self.bars)
        room = options.max_width - labels - max(len(bar.words) for bar in self.bars) - 4
        top = max(bar.whole for bar in self.bars) or 1
        rest_mark = "." if options.ascii_only else "░"
        yield Text(self.title, "bold", no_wrap=True)
        for bar in self.bars:
            length = max(0, room)
            full = fmt.column(bar.full / top, length, ascii_only=options.ascii_only)
            rest = rest_mark * (round(bar.whole / top * length) - len(full)) if bar.full < bar.whole else ""
            yield Text.assemble(
                f"  {bar.label:>{labels}} ", (full, "green"), (rest, "dim"), f" {bar.words}", no_wrap=True
            )
