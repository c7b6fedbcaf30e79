"""The final report of a spec run: text for stdout, at most 80 columns wide.

It is made from the values that the record holds, so that `show` prints what the run printed when it ended.  An INVALID
run has no score; its report says first and last that it says nothing about the servers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.output.judged import Judged
from coordinator.output.one_machine import say_shared
from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.canary import canary_lines
from coordinator.output.terminal.counter_lines import counters_table, held_lines
from coordinator.output.terminal.engines import address_lines, engine_lines
from coordinator.output.terminal.fairness_lines import fairness_lines
from coordinator.output.terminal.folding import few, fold, folded_title, how_slow, some
from coordinator.output.terminal.intervals import Words
from coordinator.output.terminal.margin_lines import margin_lines
from coordinator.output.terminal.parts import (
    STYLES,
    WIDTH,
    add_row,
    banner,
    bullets,
    checks_table,
    cut_banner,
    disturbance_lines,
    machines_table,
    own_version,
    plain_table,
    setup_line,
    verdict_line,
    where,
)
from coordinator.output.terminal.quality_lines import quality_lines
from coordinator.output.terminal.tcp_lines import tcp_lines
from coordinator.output.terminal.time_lines import time_lines
from coordinator.output.terminal.vm_lines import vm_lines
from coordinator.record.header import Header
from loadgen.model.emulated import EMULATED, EMULATED_VMS
from loadgen.model.plan import SpecPlan
from loadgen.model.units import format_duration
from loadgen.verdict.result import IterationResult, RunResult, TargetResult, Trust, Verdict
from workloads.catalog import style_of

_DEAD = 0.01
"""From this share of connection time on, dead time is told."""

_NAMED = 6
"""At most this many VMs are named; the others are counted."""


def print_report(console: Console, judged: Judged[SpecPlan, RunResult]) -> None:
    """Print the report of a spec run."""
    console.print(_report(judged, Words(console.options.ascii_only)), width=min(WIDTH, console.width))


def _report(judged: Judged[SpecPlan, RunResult], words: Words) -> RenderableType:
    result, header = judged.result, judged.header
    parts: list[RenderableType] = [Text(f"{style_of(header.plan)} run", "bold"), _setup(header), Text()]
    parts += cut_banner(judged.cut)
    if not result.has_score:
        parts += [_no_score(result), Text()]
    # The answer comes last, so that it is still on the screen when the run has ended.
    median = result.iterations[result.median] if result.median >= 0 else None
    if median is not None:
        parts += [_operations(median), *quality_lines(median.checks), Text(), *_errors(result.targets)]
        if median.checks:
            parts += [checks_table("Checks of the servers (median iteration)", median.checks), Text()]
    if len(header.own_fleet.machines) > 1:
        parts += [machines_table(header.own_fleet), Text()]
    if result.trust.checks:
        parts += [checks_table("Can the load generator be trusted?", result.trust.checks)]
        parts += [*canary_lines(result.canary), Text()]
    if result.iterations:
        parts += [_iterations(result, words), Text()]
    if result.targets:
        parts += [
            _targets(result, words),
            *time_lines(median.time if median else None, result.targets, "VMs"),
            *_dead_time(result.targets),
            *tcp_lines(median.tcp if median else None, result.targets, "VM", "VMs"),
            Text(),
            *_counters(result.targets),
        ]
    if result.has_score:
        parts += [_headline(result), *margin_lines(result)]
    if result.fairness:
        parts += [Text(line) for line in fairness_lines(result.fairness, words, one="VM", many="VMs")]
    parts.append(_verdict(result, judged.cut))
    parts += disturbance_lines(result.disturbance)
    if result.notes:
        parts.append(bullets("note:", few(result.notes)))
    parts += where(judged.path)
    return Group(*parts)


def vms(number: int) -> str:
    """The number of VMs in words: `1 VM`, `16 VMs`."""
    return f"{fmt.count(number)} VM{'s' * (number != 1)}"


def server_name(header: Header[SpecPlan]) -> str:
    """The web server by the name that the deployment gives it, or by the plan's."""
    server = header.environment.server
    if header.plan.targets:
        return "servers given as targets"
    kind, version = server.get("kind", header.plan.server.value), server.get("version", "")
    # nginx and Apache name themselves in their version.
    return str(version) if version.lower().startswith(kind) else f"{kind} {version}".strip()


def _setup(header: Header[SpecPlan]) -> RenderableType:
    plan, phases = header.plan, header.plan.phases
    grid = Table.grid(padding=(0, 2))
    engines = len(header.own_fleet.placement.workers) or plan.engines
    load = f"{vms(plan.vms)} x {plan.connections:,} connections, {engines} engine{'s' * (engines > 1)}"
    add_row(grid, "started", header.started_at)
    add_row(grid, "load", f"{load}, bound {plan.bound}, seed {plan.seed}")
    for line in engine_lines(header.own_fleet.engines):
        add_row(grid, "engine", line)
    for line in address_lines(header.own_fleet.engines):
        add_row(grid, "addresses", line)
    add_row(grid, "phases", f"{phases.iterations} x {format_duration(phases.measure_ns)} measured")
    add_row(grid, "server", server_name(header))
    for line in vm_lines(header.environment.server):
        add_row(grid, "VMs", line)
    add_row(grid, "machine", setup_line(header))
    if shared := say_shared(header):
        add_row(grid, "shared", shared)
    add_row(grid, "loadgen", own_version(header))
    return grid


def _no_score(result: RunResult) -> RenderableType:
    said = _nothing_said(result.trust) if not result.trust.valid else "Not all iterations were measured."
    title = "INVALID" if result.verdict is Verdict.INVALID else "NO SCORE"
    return banner(title, f"{said} There is no score. What follows is evidence.", "bold red")


def _nothing_said(trust: Trust) -> str:
    emulated_only = all(check.name == EMULATED_VMS for check in trust.checks if not check.ok)
    whose = f"The VMs are {EMULATED}" if emulated_only else "The load generator failed its checks"
    return f"{whose}: the run says nothing about {'real VMs' if emulated_only else 'the servers'}."


def _headline(result: RunResult) -> RenderableType:
    if result.median < 0:
        return Text("Nothing was measured: there is no score.", "bold")
    whole = sum(row.complete for row in result.iterations)
    of = f"median of {whole} iterations" if whole > 1 else "one iteration" if whole else "one iteration, cut"
    conforming, requested = fmt.count(result.conforming_connections or 0), fmt.count(result.requested_connections)
    score = f"{conforming} of {requested} requested connections conform ({of})"
    if result.verdict is Verdict.INTERRUPTED:
        score = f"Stopped early, so this is not a score: {score}"
    if result.verdict is Verdict.DEGRADED:
        score = f"Load was lost, so there is no score: {score}"
    return Text(score, STYLES[result.verdict])


def _targets(result: RunResult, words: Words) -> Table:
    shown, folded = fold(result.targets, _badness)
    table = plain_table(folded_title("VMs (median iteration)", shown, folded))
    table.add_column("", width=1)
    table.add_column("VM", no_wrap=True, max_width=12)
    table.add_column("address", overflow="ellipsis", max_width=21)  # gives way when the numbers are wide
    cut = any(row.cut for row in result.targets)
    for title in ("conform", "ops/s", "kbit/s", "p50 ms", "p99 ms", "errors", *(["cut"] if cut else [])):
        table.add_column(title, justify="right", no_wrap=True)
    for row in shown:
        add_row(table, *_target_cells(row, words, cut=cut))
    if folded:
        add_row(table, *_folded_cells(folded, cut=cut))
    return table


def _counters(targets: Sequence[TargetResult]) -> list[RenderableType]:
    """The counters of VMs on this machine; nothing for servers elsewhere."""
    parts = [*counters_table(*fold(targets, _badness)), *held_lines(sorted(targets, key=_badness, reverse=True))]
    return [*parts, Text()] if parts else []


def _badness(row: TargetResult) -> tuple[int, float, int, float]:
    """How bad a VM is: connections that do not conform, dead time, errors, slowness."""
    short = 0 if row.conforming is None else row.requested - row.conforming
    return (short, row.dead_share or 0.0, *how_slow(row.errors, row.response_ms.p99))


def _folded_cells(rows: Sequence[TargetResult], *, cut: bool) -> Iterator[str]:
    """The VMs that are not listed, as one row: sums, and means per VM."""
    known = [row.conforming for row in rows if row.conforming is not None]
    yield " "
    yield f"{fmt.count(len(rows))} others"
    yield "(means)"
    yield f"{sum(known)}/{sum(row.requested for row in rows)}" if known else fmt.NOTHING
    yield fmt.rate(sum(row.ops_per_s for row in rows) / len(rows))
    yield fmt.rate(sum(row.kbit_per_s for row in rows) / len(rows))
    yield ""
    yield ""
    yield fmt.count(sum(sum(row.errors.values()) for row in rows))
    if cut:
        yield fmt.count(sum(row.cut or 0 for row in rows))


def _dead_time(targets: Sequence[TargetResult]) -> list[RenderableType]:
    """The VMs with dead time that matters, worst first; nothing without any."""
    dead = [(row.dead_share, row.name) for row in targets if row.dead_share is not None and row.dead_share >= _DEAD]
    if not dead:
        return []
    dead.sort(reverse=True)
    named = ", ".join(f"{name} {share:.1%}" for share, name in dead[:_NAMED])
    more = f", and {len(dead) - _NAMED} more" if len(dead) > _NAMED else ""
    return [Text(f"Dead time (failed operations, rests, no operation), share of connection time: {named}{more}")]


def _target_cells(row: TargetResult, words: Words, *, cut: bool) -> Iterator[str]:
    yield " " if row.conforming in (row.requested, None) and not row.errors else "!"
    yield row.name
    yield f"[{row.host}]:{row.port}" if ":" in row.host else f"{row.host}:{row.port}"
    yield _of(row)
    yield fmt.rate(row.ops_per_s)
    yield fmt.rate(row.kbit_per_s)
    yield words.short(row.response_ms.p50)
    yield words.short(row.response_ms.p99)
    yield fmt.count(sum(row.errors.values()))
    if cut:
        yield fmt.count(row.cut or 0)


def _iterations(result: RunResult, words: Words) -> Table:
    table = plain_table("Iterations")
    table.add_column("", no_wrap=True)
    cut = any(row.cut for row in result.iterations)
    for title in ("conform", "in bound", "ops/s", "Mbit/s", "p50 ms", "p99 ms", "errors", *(["cut"] if cut else [])):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for at, row in enumerate(result.iterations):
        answered = row.requests_ok + sum(row.errors.values())
        within = row.requests_conforming
        requests = None if within is None else fmt.share_of(within, answered)
        add_row(
            table,
            f"{row.index + 1}{' median' if at == result.median else ''}",
            _of(row),
            "-" if requests is None else f"{fmt.percent(requests)}%",
            fmt.rate(row.ops_per_s),
            fmt.rate(row.kbit_per_s / 1000),
            words.short(row.response_ms.p50),
            words.short(row.response_ms.p99),
            fmt.count(sum(row.errors.values())),
            *([fmt.count(row.cut or 0)] if cut else []),
            _judgement(result, row),
        )
    return table


def _judgement(result: RunResult, row: IterationResult) -> str:
    if not row.complete:
        return "cut"
    if row.trust is not None and not row.trust.valid:
        return "INVALID"
    return {None: fmt.NOTHING, True: "ok", False: "FAIL"}[row.conforms]


def _of(row: IterationResult | TargetResult) -> str:
    """Conforming of requested connections; a dash in a run that has no score."""
    return fmt.NOTHING if row.conforming is None else f"{row.conforming}/{row.requested}"


def _operations(row: IterationResult) -> Table:
    table = plain_table("Operations (median iteration)")
    table.add_column("", no_wrap=True)
    for title in ("share", "good", "failed"):
        table.add_column(title, justify="right", no_wrap=True)
    for counts in (row.by_group, row.by_kind):
        total = sum(ok + bad for ok, bad in counts.values())
        for name, (ok, bad) in counts.items():
            share = f"{(ok + bad) / total:.2%}" if total else fmt.NOTHING
            add_row(table, name, share, fmt.count(ok), fmt.count(bad))
        table.add_section()
    return table


def _errors(targets: Iterable[TargetResult]) -> list[RenderableType]:
    """The errors that occurred, with the VMs where they occurred; nothing without any error."""
    counts: Counter[str] = Counter()
    where: defaultdict[str, list[str]] = defaultdict(list)
    for row in targets:
        for name, number in row.errors.items():
            counts[name] += number
            where[name].append(f"{row.name} {number:,}")
    if not counts:
        return []
    table = plain_table("Errors (median iteration)")
    table.add_column("")
    table.add_column("operations", justify="right")
    table.add_column("VMs, with counts")
    for name, number in counts.most_common():
        add_row(table, name.lower().replace("_", " "), fmt.count(number), some(where[name]))
    return [table, Text()]


def _verdict(result: RunResult, cut: str) -> RenderableType:
    lines: list[RenderableType] = [verdict_line(result.verdict, cut=cut)]
    lines.append(bullets("-", result.reasons))
    if not result.trust.valid:
        lines.append(Text(f"  {_nothing_said(result.trust)}", "bold red"))
    return Group(*lines)
