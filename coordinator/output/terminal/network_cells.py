"""Numbers of the network tables as people read them; what is not known is a dash."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from coordinator.output.terminal import format as fmt
from loadgen.model.units import NS_PER_MS, NS_PER_US
from loadgen.verdict.network_result import ForwardRow, IperfRow

PAPER_TESTBED = "about 2005, a 3.06 GHz Xeon, Gigabit Ethernet"
"""Where the paper's figures are from: they stand beside ours for orientation only."""

_KIB = 1024


def titled(title: str, table: Table) -> Group:
    """The table under its title, which may be longer than the table is wide."""
    return Group(Text(title, "bold"), table)


def runs(rows: Sequence[IperfRow | ForwardRow]) -> str:
    """What the numbers of these rows are made of: those of a run that was cut may be of fewer runs than others."""
    least, most = min(row.repeats for row in rows), max(row.repeats for row in rows)
    if most == 1:
        return "one run"
    return f"median of {most} runs" if least == most else f"median of {least} to {most} runs"


def mbit(value: float) -> str:
    """A rate."""
    return fmt.rate(value) if value >= 0 else fmt.NOTHING


def spread(low: float, high: float) -> str:
    """The least and the greatest rate; a dash where there is none, as with a single run."""
    return f"{mbit(low)}-{mbit(high)}" if low < high else fmt.NOTHING


def cpu(s_per_gb: float) -> str:
    """CPU-seconds per GB, with three digits that mean something."""
    if s_per_gb < 0:
        return fmt.NOTHING
    return f"{s_per_gb:.3f}" if s_per_gb < 10 else f"{s_per_gb:.1f}"


def percent(share: float, decimals: int = 0) -> str:
    """A share of one."""
    return f"{100 * share:.{decimals}f}" if share >= 0 else fmt.NOTHING


def count(value: float) -> str:
    """A number of things; a median may have a half."""
    return fmt.NOTHING if value < 0 else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def millis(value_ns: float) -> str:
    """Milliseconds."""
    return fmt.millis(value_ns / NS_PER_MS if value_ns >= 0 else None)


def micros(value_ns: float) -> str:
    """Microseconds, in whole ones; below zero, too, where `added` is."""
    return f"{value_ns / NS_PER_US:,.0f}"


def kib(size_bytes: float) -> str:
    """A buffer's size, to a KiB."""
    return f"{size_bytes / _KIB:,.0f}K" if size_bytes >= 0 else fmt.NOTHING


def megabytes(size_bytes: float) -> str:
    """10^6 bytes."""
    return f"{size_bytes / 1e6:,.1f}"
