"""The final reports of `loadgen iperf` and `loadgen forward`: text for stdout, at most 80 columns wide.

They are made from the values that the record holds, so that `show` prints what the run printed when it ended.  A valid
run without a requested rate is called VALID, because there was nothing to conform to.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.output.judged import Judged
from coordinator.output.one_machine import say_shared
from coordinator.output.terminal import forward_tables, iperf_tables
from coordinator.output.terminal.parts import (
    WIDTH,
    add_row,
    banner,
    bullets,
    checks_table,
    cut_banner,
    own_version,
    setup_line,
    verdict_line,
    where,
)
from coordinator.record.header import Plan
from loadgen.model.probe import ForwardPlan, IperfPlan, Kind, Link, Transport
from loadgen.model.units import format_duration, format_size
from loadgen.verdict.network_result import ForwardResult, IperfResult
from loadgen.verdict.result import Verdict

_DISTURBED = "The measurement is not valid: what follows is evidence, not a result."


def print_iperf(console: Console, judged: Judged[IperfPlan, IperfResult]) -> None:
    """Print the report of a `loadgen iperf` run."""
    plan, result = judged.header.plan, judged.result
    setup = [
        ("peer", f"{plan.host} port {plan.port}{f', {result.peer}' if result.peer else ''}"),
        ("tests", _iperf_tests(plan)),
    ]
    shared = say_shared(judged.header)
    setup += [("shared", shared)] if shared else []
    tables = iperf_tables.tables(plan, result.rows, ascii_only=console.options.ascii_only)
    _print(console, _parts(_iperf_title(plan), setup, tables, judged))


def print_forward(console: Console, judged: Judged[ForwardPlan, ForwardResult]) -> None:
    """Print the report of a `loadgen forward` run."""
    plan, result = judged.header.plan, judged.result
    setup = [("links", ", ".join(link.value for link in plan.links)), ("tests", _forward_tests(plan))]
    if Link.REAL in plan.links:
        setup.append(("roles", f"proxy {plan.proxy or '-'}, sink {plan.sink}"))
    tables = forward_tables.tables(plan, result, ascii_only=console.options.ascii_only)
    _print(console, _parts("TCP forwarding rate", setup, tables, judged))


def _print(console: Console, parts: Iterable[RenderableType]) -> None:
    console.print(Group(*parts), width=min(WIDTH, console.width))


def _parts(
    title: str,
    setup: Iterable[tuple[str, str]],
    tables: Iterable[RenderableType],
    judged: Judged[Plan, IperfResult | ForwardResult],
) -> list[RenderableType]:
    result, header = judged.result, judged.header
    grid = Table.grid(padding=(0, 2))
    about = [("machine", setup_line(header)), ("loadgen", own_version(header))]
    for name, text in (("started", header.started_at), *setup, *about):
        add_row(grid, name, text)
    parts: list[RenderableType] = [Text(title, "bold"), grid, Text()]
    parts += cut_banner(judged.cut)
    if result.verdict is Verdict.INVALID:
        parts += [banner("INVALID", _DISTURBED, "bold red"), Text()]
    if result.trust.checks:
        parts += [checks_table("Can the measurement be trusted?", result.trust.checks), Text()]
    # The answer comes last, so that it is still on the screen when the run has ended.
    parts += tables
    if not result.rows:
        parts += [Text("Nothing was measured.", "bold"), Text()]
    valid = result.verdict is Verdict.CONFORMING and not result.asked
    line = verdict_line(result.verdict, "VALID" if valid else "", cut=judged.cut)
    parts += [line, bullets("-", result.reasons)]
    if result.notes:
        parts.append(bullets("note:", result.notes))
    return parts + where(judged.path)


def _iperf_title(plan: IperfPlan) -> str:
    if plan.kind is not Kind.STREAM:
        return "TCP request/response latency"
    return "UDP throughput, loss and jitter" if plan.transport is Transport.UDP else "TCP throughput by window"


def _iperf_tests(plan: IperfPlan) -> str:
    ends = f"{format_size(plan.limit_bytes)} each" if plan.limit_bytes else format_duration(plan.duration_ns)
    parts = [f"{plan.repeats} x {ends}"]
    parts += [f"{plan.parallel} streams"] if plan.parallel > 1 else []
    parts += [f"{format_duration(plan.omit_ns)} of warm-up omitted"] if plan.omit_ns else []
    parts += [f"{plan.rate_bps / 1e6:,.6g} Mbit/s per stream"] if plan.rate_bps else []
    parts += [f"blocks of {format_size(plan.block_bytes)}"] if plan.block_bytes else []
    parts += [f"congestion control {plan.congestion}"] if plan.congestion else []
    parts += [f"cores {', '.join(map(str, plan.cores))}"] if plan.cores else []
    return ", ".join(parts)


def _forward_tests(plan: ForwardPlan) -> str:
    omitted = f", {format_duration(plan.omit_ns)} of warm-up omitted" if plan.omit_ns else ""
    return f"{plan.repeats} x {format_duration(plan.duration_ns)}{omitted}; flows {', '.join(map(str, plan.flows))}"
