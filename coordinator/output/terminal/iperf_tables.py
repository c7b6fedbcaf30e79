"""The tables of `loadgen iperf`.  The table with the answer comes last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.output.terminal import network_cells as cell
from coordinator.output.terminal.parts import add_row, plain_table
from loadgen.model.probe import Direction, IperfPlan, Kind, Transport
from loadgen.model.units import format_window
from loadgen.verdict.network_result import IperfRow, Rate

PAPER_TABLE_3: Mapping[int, tuple[str, str]] = {
    16 << 10: ("524/593", "348/425"),
    32 << 10: ("888/938", "678/815"),
    64 << 10: ("941/941", "787/867"),
    128 << 10: ("941/941", "888/915"),
    256 << 10: ("941/941", "902/929"),
}
"""By window in bytes: receive/send rates in Mbit/s of Linux and of Xen 2.0.7, from the paper's Table 3."""


def tables(plan: IperfPlan, rows: Sequence[IperfRow], *, ascii_only: bool) -> Iterator[RenderableType]:
    """All tables of a result, each followed by an empty line; nothing when there are no rows."""
    if not rows:
        return
    if plan.kind is not Kind.STREAM:
        yield from (_ping_pong(rows, ascii_only), Text())
        return
    yield from (_effort(plan, rows), Text())
    if plan.parallel > 1:
        yield from (_each_stream(rows), Text())
    yield from (_granted(rows), Text())
    if plan.transport is Transport.UDP:
        yield from (_datagrams(rows, ascii_only), Text())
        return
    both_ways = [row for row in rows if row.direction is Direction.BIDIR]
    one_way = [row for row in rows if row.direction is not Direction.BIDIR]
    if both_ways:
        yield from (_bidir(both_ways, ascii_only), Text())
    if one_way:
        yield from (*_table_3(one_way, ascii_only), Text())


def _columns(table: Table, *titles: str) -> Table:
    table.add_column("window", justify="right", no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _effort(plan: IperfPlan, rows: Sequence[IperfRow]) -> RenderableType:
    tcp = plan.transport is Transport.TCP
    more = ("retransmits", "RTT ms", "cwnd") if tcp else ()
    table = plain_table("")
    _columns(table, "direction", "CPU-s/GB here", "CPU-s/GB there", *more)
    for row in rows:
        connection = (cell.count(row.retransmits), cell.millis(row.rtt_ns), cell.kib(row.cwnd_bytes)) if tcp else ()
        add_row(
            table,
            format_window(row.window_bytes),
            row.direction.value,
            cell.cpu(row.local_cpu_s_per_gb),
            cell.cpu(row.remote_cpu_s_per_gb),
            *connection,
        )
    return cell.titled(f"CPU and connection ({cell.runs(rows)})", table)


def _each_stream(rows: Sequence[IperfRow]) -> RenderableType:
    """The rates of single streams: with a byte limit the streams' times differ, so their rates do not add up."""
    table = plain_table("")
    _columns(table, "direction", "slowest", "fastest")
    for row in rows:
        rates = (cell.mbit(row.slowest_stream_mbit_per_s), cell.mbit(row.fastest_stream_mbit_per_s))
        add_row(table, format_window(row.window_bytes), row.direction.value, *rates)
    return cell.titled(f"Streams in Mbit/s, each over its own time ({cell.runs(rows)})", table)


def _granted(rows: Sequence[IperfRow]) -> RenderableType:
    """One row for all directions of a window that were granted the same buffers."""
    table = plain_table("")
    _columns(table, "direction", "send here", "receive here", "send there", "receive there")
    grants: dict[tuple[int, tuple[int, ...]], list[str]] = {}
    for row in rows:
        sizes = [
            size for end in (row.local_granted, row.remote_granted) for size in (end.send_bytes, end.receive_bytes)
        ]
        grants.setdefault((row.window_bytes, tuple(sizes)), []).append(row.direction.value)
    for (window_bytes, found), directions in grants.items():
        add_row(table, format_window(window_bytes), ", ".join(directions), *map(cell.kib, found))
    return cell.titled("Windows: requested from the kernel, and granted", table)


def _table_3(rows: Sequence[IperfRow], ascii_only: bool) -> Iterator[RenderableType]:
    """The paper's Table 3, measured on this machine."""
    directions = list(dict.fromkeys(row.direction for row in rows))
    windows = list(dict.fromkeys(row.window_bytes for row in rows))
    table = plain_table("")
    headings = [title for direction in directions for title in (direction.value, "spread")]
    _columns(table, *headings, "Linux*", "Xen*")
    by_cell = {(row.window_bytes, row.direction): row for row in rows}
    for window_bytes in windows:
        found = [by_cell.get((window_bytes, way)) for way in directions]
        cells = [text for row in found for text in (_cells(row, row.rates, ascii_only) if row else ("-", "-"))]
        add_row(table, format_window(window_bytes), *cells, *PAPER_TABLE_3.get(window_bytes, ("-", "-")))
    yield cell.titled(f"TCP throughput by window in Mbit/s ({cell.runs(rows)})", table)
    yield Text(f"* the paper's receive/send: {cell.PAPER_TESTBED}", "dim")


def _cells(row: IperfRow, rates: Sequence[Rate], ascii_only: bool) -> Sequence[str]:
    """The rate and the spread of one direction of a cell; dashes when it was not measured."""
    if not rates:
        return ("-", "-")
    rate = rates[0].mbit_per_s
    shown = cell.at_least(rate, ascii_only=ascii_only) if row.limited_here else cell.mbit(rate)
    return shown, cell.spread(rates[0].min_mbit_per_s, rates[0].max_mbit_per_s)


def _bidir(rows: Sequence[IperfRow], ascii_only: bool) -> RenderableType:
    table = plain_table("")
    _columns(table, "receive", "spread", "send", "spread")
    for row in rows:
        rates = {rate.direction: [rate] for rate in row.rates}
        ways = (Direction.RECEIVE, Direction.SEND)
        cells = [text for way in ways for text in _cells(row, rates.get(way, []), ascii_only)]
        add_row(table, format_window(row.window_bytes), *cells)
    return cell.titled(f"Both directions at once in Mbit/s ({cell.runs(rows)})", table)


def _datagrams(rows: Sequence[IperfRow], ascii_only: bool) -> RenderableType:
    table = plain_table("")
    _columns(table, "direction", "Mbit/s", "spread", "lost %", "duplicates", "out of order", "jitter ms")
    for row in rows:
        quality = (
            cell.percent(row.loss_share, 3),
            cell.count(row.duplicates),
            cell.count(row.out_of_order),
            cell.millis(row.jitter_ns),
        )
        for rate in row.rates:
            name = row.direction.value if len(row.rates) == 1 else f"{row.direction.value} {rate.direction.value}"
            add_row(table, format_window(row.window_bytes), name, *_cells(row, [rate], ascii_only), *quality)
    return cell.titled(f"UDP ({cell.runs(rows)})", table)


def _ping_pong(rows: Sequence[IperfRow], ascii_only: bool) -> RenderableType:
    table = plain_table("")
    _columns(table, "p50", "p90", "p99", "max", "transactions/s", "no answer")
    for row in rows:
        found = row.latency
        counts = (cell.mbit(found.per_s), cell.count(found.failed + found.unanswered))
        add_row(table, format_window(row.window_bytes), *cell.times(found, ascii_only=ascii_only), *counts)
    return cell.titled("Request/response: one byte there, one byte back, in µs", table)
