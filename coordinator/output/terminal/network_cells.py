"""Numbers of the network tables for people to read; a number that is not known is a dash."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from coordinator.output.terminal import format as fmt
from loadgen.measure.throughput import Latency
from loadgen.model.units import NS_PER_MS, NS_PER_US
from loadgen.verdict.network_result import ForwardRow, IperfRow

PAPER_TESTBED = "about 2005, a 3.06 GHz Xeon, Gigabit Ethernet"
"""The testbed of the paper's figures, which are printed beside ours for orientation only."""

_KIB = 1024


def titled(title: str, table: Table) -> Group:
    """The table under its title; the title may be longer than the table is wide."""
    return Group(Text(title, "bold"), table)


def runs(rows: Sequence[IperfRow | ForwardRow]) -> str:
    """The number of runs behind each median of these rows, as text; the numbers differ in a run that was cut."""
    least, most = min(row.repeats for row in rows), max(row.repeats for row in rows)
    if most == 1:
        return "one run"
    return f"median of {most} runs" if least == most else f"median of {least} to {most} runs"


def mbit(value: float) -> str:
    """A rate in Mbit/s; a dash below 0."""
    return fmt.rate(value) if value >= 0 else fmt.NOTHING


def at_least(value: float, *, ascii_only: bool) -> str:
    """A rate in Mbit/s that is only a lower bound."""
    return f"{'>=' if ascii_only else '≥'} {mbit(value)}"


def spread(low: float, high: float) -> str:
    """The least and the greatest rate; a dash when they are the same, as with a single run."""
    return f"{mbit(low)}-{mbit(high)}" if low < high else fmt.NOTHING


def cpu(s_per_gb: float) -> str:
    """CPU-seconds per GB, with about three significant digits; a dash below 0."""
    if s_per_gb < 0:
        return fmt.NOTHING
    return f"{s_per_gb:.3f}" if s_per_gb < 10 else f"{s_per_gb:.1f}"


def percent(share: float, decimals: int = 0) -> str:
    """A share of 1 in percent; a dash below 0."""
    return f"{100 * share:.{decimals}f}" if share >= 0 else fmt.NOTHING


def count(value: float) -> str:
    """A count, with one decimal when it is the median of an even number; a dash below 0."""
    return fmt.NOTHING if value < 0 else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def millis(value_ns: float) -> str:
    """A time in ms; a dash below 0."""
    return fmt.millis(value_ns / NS_PER_MS if value_ns >= 0 else None)


def micros(value_ns: float) -> str:
    """A time in whole µs; it may be negative, as an added latency can be."""
    return f"{value_ns / NS_PER_US:,.0f}"


def times(found: Latency, *, ascii_only: bool) -> list[str]:
    """p50, p90, p99 and the maximum in whole µs; marked when no more than a lower bound is known."""
    mark = ">= " if ascii_only else "≥ "
    values = {name: getattr(found, name) for name in ("p50_ns", "p90_ns", "p99_ns", "max_ns")}
    return [
        f"{mark if name in found.lower_bounds else ''}{micros(value)}" if value >= 0 else fmt.NOTHING
        for name, value in values.items()
    ]


def kib(size_bytes: float) -> str:
    """The size of a buffer in KiB; a dash below 0."""
    return f"{size_bytes / _KIB:,.0f}K" if size_bytes >= 0 else fmt.NOTHING


def megabytes(size_bytes: float) -> str:
    """A size in units of 10^6 bytes."""
    return f"{size_bytes / 1e6:,.1f}"
