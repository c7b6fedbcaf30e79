"""The final reports of `loadgen iperf` and `loadgen forward`: text for stdout, from the values that the record holds.

So `show` prints of a record what the run printed when it ended.  At most 80 columns.  Where no rate was asked for, a
run that holds is called VALID: there was nothing to conform to.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.record.document import Begun
from coordinator.record.network import NetworkHeader
from coordinator.view import forward_tables, iperf_tables
from coordinator.view.report import (
    WIDTH,
    add_row,
    banner,
    bullets,
    checks_table,
    own_version,
    setup_line,
    verdict_line,
    where,
)
from loadgen.model.probe import ForwardPlan, IperfPlan, Kind, Link, Transport
from loadgen.model.units import format_duration, format_size
from loadgen.verdict.network_result import ForwardResult, IperfResult
from loadgen.verdict.result import Verdict

_DISTURBED = "The measurement does not hold: what follows is evidence, and no result."


def print_iperf(
    console: Console,
    result: IperfResult,
    header: NetworkHeader[IperfPlan],
    *,
    record: Path | None = None,
    cut: str = "",
) -> None:
    """Print the report.  `record` is where the record is; `cut` says how a run ended that did not write its end."""
    plan = header.plan
    setup = [
        ("peer", f"{plan.host} port {plan.port}{f', {result.peer}' if result.peer else ''}"),
        ("tests", _iperf_tests(plan)),
    ]
    tables = iperf_tables.tables(plan, result.rows)
    _print(console, _parts(_iperf_title(plan), setup, tables, result, header, record, cut))


def print_forward(
    console: Console,
    result: ForwardResult,
    header: NetworkHeader[ForwardPlan],
    *,
    record: Path | None = None,
    cut: str = "",
) -> None:
    """As :func:`print_iperf`."""
    plan = header.plan
    setup = [("links", ", ".join(link.value for link in plan.links)), ("tests", _forward_tests(plan))]
    if Link.REAL in plan.links:
        setup.append(("roles", f"proxy {plan.proxy or '-'}, sink {plan.sink}"))
    tables = forward_tables.tables(plan, result)
    _print(console, _parts("TCP forwarding rate", setup, tables, result, header, record, cut))


def _print(console: Console, parts: Iterable[RenderableType]) -> None:
    console.print(Group(*parts), width=min(WIDTH, console.width))


def _parts(
    title: str,
    setup: Iterable[tuple[str, str]],
    tables: Iterable[RenderableType],
    result: IperfResult | ForwardResult,
    header: Begun,
    record: Path | None,
    cut: str,
) -> list[RenderableType]:
    grid = Table.grid(padding=(0, 2))
    about = [("machine", setup_line(header)), ("loadgen", own_version(header))]
    for name, text in (("started", header.started_at), *setup, *about):
        add_row(grid, name, text)
    parts: list[RenderableType] = [Text(title, "bold"), grid, Text()]
    if cut:
        parts += [banner("CUT", f"{cut[0].upper()}{cut[1:]}.", "bold yellow"), Text()]
    if result.verdict is Verdict.INVALID:
        parts += [banner("INVALID", _DISTURBED, "bold red"), Text()]
    if result.trust.checks:
        parts += [checks_table("Can the measurement be trusted?", result.trust.checks), Text()]
    # The answer comes last: it is what is still on the screen when the run has ended.
    parts += tables
    if not result.rows:
        parts += [Text("Nothing was measured.", "bold"), Text()]
    valid = result.verdict is Verdict.CONFORMING and not result.asked
    parts += [verdict_line(result.verdict, "VALID" if valid else ""), bullets("-", result.reasons)]
    if result.notes:
        parts.append(bullets("note:", result.notes))
    return parts + where(record)


def _iperf_title(plan: IperfPlan) -> str:
    if plan.kind is not Kind.STREAM:
        return "TCP request/response latency"
    return "UDP throughput, loss and jitter" if plan.transport is Transport.UDP else "TCP throughput by window"


def _iperf_tests(plan: IperfPlan) -> str:
    ends = f"{format_size(plan.limit_bytes)} each" if plan.limit_bytes else format_duration(plan.duration_ns)
    parts = [f"{plan.repeats} x {ends}"]
    parts += [f"{plan.parallel} streams"] if plan.parallel > 1 else []
    parts += [f"{format_duration(plan.omit_ns)} before it omitted"] if plan.omit_ns else []
    parts += [f"{plan.rate_bps / 1e6:,.6g} Mbit/s a stream"] if plan.rate_bps else []
    parts += [f"blocks of {format_size(plan.block_bytes)}"] if plan.block_bytes else []
    parts += [f"congestion control {plan.congestion}"] if plan.congestion else []
    parts += [f"cores {', '.join(map(str, plan.cores))}"] if plan.cores else []
    return ", ".join(parts)


def _forward_tests(plan: ForwardPlan) -> str:
    omitted = f", {format_duration(plan.omit_ns)} before it omitted" if plan.omit_ns else ""
    return f"{plan.repeats} x {format_duration(plan.duration_ns)}{omitted}; flows {', '.join(map(str, plan.flows))}"
