"""The counters of VMs in a report: a table, and what held the VMs that do not conform."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.folding import WORST_ROWS, folded_title
from coordinator.output.terminal.parts import add_row, bullets, plain_table
from loadgen.model.units import NS_PER_S
from loadgen.verdict.result import TargetResult
from loadgen.verdict.vm_counters import VmCounters

_UNEXPLAINED = "its counters do not show why"
_NOT_READ = "its counters were not read"


def held_lines(rows: Sequence[TargetResult]) -> list[RenderableType]:
    """What held each VM that does not conform, for `rows` with the worst first; nothing when no VM was watched.

    Of many VMs, the first are named, and the causes of the others counted.
    """
    if not any(row.counters for row in rows):
        return []
    short = [row for row in rows if row.conforming is not None and row.conforming < row.requested]
    if not short:
        return []
    lines = [f"{row.name}: {_why(row.counters)}" for row in short[:WORST_ROWS]]
    if rest := short[WORST_ROWS:]:
        lines.append(f"{fmt.count(len(rest))} others: {_counted(rest)}")
    return [Text("What held the VMs that do not conform"), bullets("-", lines)]


def counters_table(shown: Sequence[TargetResult], folded: Sequence[TargetResult]) -> list[RenderableType]:
    """The counters of VMs, those `folded` as one row of means; nothing when no VM was watched."""
    read = [row.counters for row in (*shown, *folded) if row.counters is not None]
    if not read:
        return []
    columns = {title: cell for title, cell in _COLUMNS.items() if any(map(cell, read))}
    heading = folded_title("Counters of the VMs (median iteration)", shown, folded)
    table = plain_table("")
    table.add_column("VM", no_wrap=True, max_width=12)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for row in shown:
        add_row(table, row.name, *(_cell(cell, row.counters) for cell in columns.values()))
    if rest := [row.counters for row in folded if row.counters is not None]:
        mean = _mean(rest)
        add_row(table, f"{fmt.count(len(folded))} others", *(_cell(cell, mean) for cell in columns.values()))
    # The title is no part of the table: rich would wrap it to the width of a narrow one.
    return [Text(heading, "bold"), table, *_together(read), *_not_read(columns)]


def _together(rows: Sequence[VmCounters]) -> Iterator[RenderableType]:
    """What all VMs used: many idle ones can use up a machine's cores, and no row shows that."""
    known = [row.cpu_ns / NS_PER_S / row.read_s for row in rows if row.cpu_ns is not None and row.read_s]
    if len(known) > 1:
        yield Text(f"All {fmt.count(len(known))} VMs together used {sum(known):.2f} cores")


def _mean(rows: Sequence[VmCounters]) -> VmCounters:
    """The mean of each number over the VMs of which it was read."""
    means: dict[str, Any] = {}
    for field in fields(VmCounters):
        known = [one for row in rows if isinstance(one := getattr(row, field.name), int | float)]
        if known:
            total = sum(known) / len(known)
            means[field.name] = round(total) if isinstance(known[0], int) else total
    return VmCounters(**means)


def _not_read(columns: dict[str, Callable[[VmCounters], str]]) -> Iterator[RenderableType]:
    missing = [_LONG.get(title, title) for title in _COLUMNS if title not in columns]
    if missing:
        yield Text(f"Not read here: {', '.join(missing)}")


def _cell(cell: Callable[[VmCounters], str], counters: VmCounters | None) -> str:
    return (counters is not None and cell(counters)) or fmt.NOTHING


def _why(counters: VmCounters | None) -> str:
    if counters is None:
        return _NOT_READ
    return "; ".join(held.phrase for held in counters.held) or _UNEXPLAINED


def _counted(rows: Sequence[TargetResult]) -> str:
    found: Counter[str] = Counter()
    for row in rows:
        if row.counters is None:
            found["not read"] += 1
        elif not row.counters.held:
            found["not explained by counters"] += 1
        else:
            found.update(held.what for held in row.counters.held)
    return ", ".join(f"{what} {fmt.count(number)}" for what, number in found.most_common())


def _share(part_ns: int | None, counters: VmCounters) -> str:
    return "" if part_ns is None or not counters.read_s else f"{part_ns / NS_PER_S / counters.read_s:.1%}"


def _throttled(counters: VmCounters) -> str:
    if counters.throttled_periods is None or counters.periods is None:
        return ""
    return f"{counters.throttled_periods / max(1, counters.periods):.0%}"


def _size(number: int | None) -> str:
    return "" if number is None else f"{number / (1 << 20):,.1f}M"


def _drops(counters: VmCounters) -> str:
    known = [one for one in (counters.listen_drops, counters.listen_overflows) if one is not None]
    return _number(max(known, default=None))


def _number(number: int | None) -> str:
    return "" if number is None else fmt.count(number)


_COLUMNS: dict[str, Callable[[VmCounters], str]] = {
    "CPU": lambda one: _share(one.cpu_ns, one),
    "waited": lambda one: _share(one.waited_ns, one),
    "throttled": _throttled,
    "memory": lambda one: _size(one.memory_bytes),
    "PSS": lambda one: _size(one.pss_after_bytes),
    "OOM": lambda one: _number(one.oom_kills),
    "pids": lambda one: _number(one.pids),
    "drops": _drops,
    "resent": lambda one: _number(one.retransmits),
}

_LONG = {
    "CPU": "CPU time",
    "waited": "waiting for a core",
    "throttled": "throttling",
    "memory": "memory of the cgroup",
    "OOM": "OOM kills",
    "drops": "listen drops",
    "resent": "retransmits",
}
"""The columns in words, where a title is short."""
