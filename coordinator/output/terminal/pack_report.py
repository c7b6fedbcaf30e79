"""The final report of `loadgen pack`: text for stdout, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.output.judged import Judged
from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.parts import (
    WIDTH,
    add_row,
    banner,
    bullets,
    head,
    plain_table,
    verdict_line,
    where,
)
from coordinator.record.header import Header
from loadgen.model.emulated import EMULATED
from loadgen.model.pack import PackPlan
from loadgen.model.units import NS_PER_MS, format_size
from loadgen.verdict.pack_result import PackResult, PackRow
from loadgen.verdict.result import Verdict

_MIB = 1 << 20
_MAX_ROWS = 16

PAPER = "VServer stopped at 1024 VMs and could have gone on; Xen: 80 domains of 48 MB"
"""The paper's figures (hardware of 2005, 4 GB)."""


def print_pack(console: Console, judged: Judged[PackPlan, PackResult]) -> None:
    """Print the report of a packing."""
    console.print(Group(*_parts(judged)), width=min(WIDTH, console.width))


def _parts(judged: Judged[PackPlan, PackResult]) -> list[RenderableType]:
    result, header = judged.result, judged.header
    parts = head("Phone-booth packing: how many VMs fit", header, _setup(header, result), judged.cut)
    if result.verdict is Verdict.INVALID:
        emulated = header.environment.server.get("emulated")
        why = f"the VMs are {EMULATED}" if emulated else "loadgen itself could not ask all VMs"
        text = f"{why}: how many fit is not known."
        parts += [banner("INVALID", text, "bold red"), Text()]
    if result.curve:
        parts += [_curve(result.curve), Text()]
    parts += [_answer(result), Text()]
    valid = result.verdict is Verdict.CONFORMING and not header.plan.count
    line = verdict_line(result.verdict, "VALID" if valid else "", cut=judged.cut)
    parts += [line, bullets("-", result.reasons)]
    if result.notes:
        parts.append(bullets("note:", result.notes))
    return parts + where(judged.path)


def _setup(header: Header[PackPlan], result: PackResult) -> list[tuple[str, str]]:
    plan = header.plan
    server = result.server or plan.server.value
    driver = result.driver or plan.vm_driver or "local"
    held = [(plan.reserve_memory_bytes, "memory"), (plan.reserve_disk_bytes, "disk")]
    reserved = " and ".join(f"{format_size(size)} of {what}" for size, what in held if size)
    memory, disk = format_size(plan.keep_memory_bytes), format_size(plan.keep_disk_bytes)
    return [
        ("VMs", f"driver {driver}, {server}, {plan.connections:,} connections at once in each"),
        ("memory", f"guaranteed: {reserved} each" if reserved else "overbooked"),
        *([("", result.guarantee)] if result.guarantee else []),
        ("kept free", f"{memory} of memory, {disk} of disk"),
    ]


def _curve(rows: Sequence[PackRow]) -> Table:
    """The footprint by number of VMs; of many rows, the last ones."""
    shown = rows[-_MAX_ROWS:]
    left_out = f" (the first {len(rows) - len(shown)} rows are left out)" if len(rows) > len(shown) else ""
    table = plain_table(f"Footprint per VM, in MiB, by number of VMs{left_out}")
    for title in ("VMs", "VMs/s", "PSS", "cgroup", "available", "kernel", "tasks", "disk"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in shown:
        add_row(
            table,
            fmt.count(row.vms),
            fmt.rate(row.tried / row.start_s) if row.start_s else fmt.NOTHING,
            _mib(row.pss_bytes),
            _mib(row.group_bytes),
            _mib(row.available_bytes),
            _mib(row.kernel_bytes),
            fmt.NOTHING if row.tasks < 0 else f"{row.tasks:.1f}",
            _mib(row.disk_bytes),
        )
    return table


def _answer(result: PackResult) -> Table:
    """What was found: how many VMs, what stopped the packing, the sweep, the times."""
    grid = Table.grid(padding=(0, 2))
    answered = fmt.NOTHING if result.packed < 0 else fmt.count(result.packed)
    lines = [("VMs that answered at once", answered), ("stopped by", result.stop.why)]
    for sweep in result.sweep:
        lines.append(
            (
                "final sweep",
                f"{fmt.count(sweep.answered)} of {fmt.count(sweep.asked)} answered, with {fmt.count(sweep.at_once)} "
                f"connections open at once; {fmt.millis(sweep.took_ns / NS_PER_MS)} ms, slowest reply "
                f"{fmt.millis(sweep.slowest_ns / NS_PER_MS)} ms",
            )
        )
    if result.started:
        lines.append(("start", f"{result.start_s:.1f} s, {fmt.rate(result.starts_per_s)} VMs/s"))
    if result.end_s >= 0:
        lines.append(("end", f"{result.end_s:.1f} s until nothing was left"))
    if result.supervisors_bytes > 0:
        lines.append(("supervisors", f"{_mib(result.supervisors_bytes)} MiB of PSS in all, left out above"))
    for name, text in (*lines, ("paper", PAPER)):
        add_row(grid, name, text)
    return grid


def _mib(size_bytes: float) -> str:
    return fmt.NOTHING if size_bytes < 0 else f"{size_bytes / _MIB:,.2f}"
