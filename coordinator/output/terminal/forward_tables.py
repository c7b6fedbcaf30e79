"""The tables of `loadgen forward`.  The table with the answer comes last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.output.terminal import network_cells as cell
from coordinator.output.terminal.parts import add_row, plain_table
from loadgen.model.probe import ForwardPlan, Link, Mode
from loadgen.model.units import format_window
from loadgen.verdict.network_result import ForwardResult, ForwardRow, LatencyRow, NicProof

PAPER: Mapping[int, tuple[str, str]] = {64 << 10: ("941", "-"), 128 << 10: ("-", "417")}
"""By window in bytes: Mbit/s that stock Linux and XenoLinux forward, from the paper."""

_LINKS = {
    Link.GIGE: "Gigabit Ethernet (lab)",
    Link.TEN_GIGE: "10 Gbit/s (lab)",
    Link.NONE: "unshaped veth (lab)",
    Link.LOOPBACK: "loopback",
    Link.REAL: "between the machines",
}
_VETH = (
    "On a veth the round trip is only the delay of scheduling and of the shaper's queue (0.02 to 2 ms), so small "
    "windows cost less here than between real NICs."
)
_LOOPBACK = (
    "Over the loopback no byte crosses a NIC, and source, proxy and sink share the memory of one machine: this shows "
    "the cost of the proxy, not the rate at which it forwards between networks."
)


def tables(plan: ForwardPlan, result: ForwardResult, *, ascii_only: bool) -> Iterator[RenderableType]:
    """All tables of a result, each followed by an empty line."""
    if result.proofs:
        yield from (_nics(result.proofs), Text())
    for link in plan.links:
        rows = [row for row in result.rows if row.link is link]
        latencies = [row for row in result.latencies if row.link is link]
        swept = [row for row in rows if row.flows == 1]
        if latencies:
            yield from (_latency(link, latencies, ascii_only), Text())
        if len(rows) > len(swept):
            several = [row for row in rows if row.flows > 1 or row.window_bytes == plan.flows_window_bytes]
            yield from (_flows(link, several, ascii_only), Text())
        if swept:
            yield from (_effort(link, swept), Text(), *_answer(link, swept, ascii_only), Text())


def _table(*columns: str, left: int = 1) -> Table:
    """An empty table; the first `left` columns hold words, the others numbers."""
    table = plain_table("")
    for number, heading in enumerate(columns):
        table.add_column(heading, justify="left" if number < left else "right", no_wrap=True)
    return table


def _nics(proofs: Sequence[NicProof]) -> RenderableType:
    """The NICs' counts of all tests of a mode; they exceed the payload by headers and warm-up."""
    table = _table(
        *("link", "mode", "tests", "payload MB", "in at", "MB", "out at", "MB", "proven"),
        left=2,
    )
    for link, mode in dict.fromkeys((proof.link, proof.mode) for proof in proofs):
        own = [proof for proof in proofs if (proof.link, proof.mode) == (link, mode)]
        good = sum(proof.ok for proof in own)
        add_row(
            table,
            link.value,
            mode.value,
            cell.count(len(own)),
            cell.megabytes(sum(proof.payload_bytes for proof in own)),
            _carrier((proof.rx_nic, proof.rx_bytes) for proof in own),
            cell.megabytes(sum(proof.rx_bytes for proof in own)),
            _carrier((proof.tx_nic, proof.tx_bytes) for proof in own),
            cell.megabytes(sum(proof.tx_bytes for proof in own)),
            Text("all") if good == len(own) else Text(f"{good} of {len(own)}", "bold red"),
        )
    return cell.titled("Did the bytes cross both NICs of the proxy's host?", table)


def _carrier(counted: Iterable[tuple[str, int]]) -> str:
    """The NIC that carried most.  Ping-pong sends as much as it receives, so its two NICs may be swapped."""
    sums: Counter[str] = Counter()
    for nic, size_bytes in counted:
        sums[nic] += size_bytes
    return sums.most_common(1)[0][0] or "none"


def _rate(row: ForwardRow, ascii_only: bool) -> str:
    """The rate of a row in Mbit/s, marked as a lower bound where an end was the limit."""
    return cell.at_least(row.mbit_per_s, ascii_only=ascii_only) if row.limited_by_end else cell.mbit(row.mbit_per_s)


def _latency(link: Link, rows: Sequence[LatencyRow], ascii_only: bool) -> RenderableType:
    table = _table(
        *("mode", "p50", "added", "p90", "p99", "max", "connections/s", "failed"),
    )
    for row in rows:
        found = row.latency
        times = [
            cell.micros(value) if value >= 0 else "-"
            for value in (found.p50_ns, found.p90_ns, found.p99_ns, found.max_ns)
        ]
        per_s = cell.mbit(row.connections_per_s)
        if row.connections_limited_by:
            per_s = cell.at_least(row.connections_per_s, ascii_only=ascii_only)
        added = cell.micros(row.added_ns) if row.added_ns != -1 else "-"
        add_row(
            table,
            row.mode.value,
            times[0],
            added,
            *times[1:],
            per_s,
            cell.count(row.failed),
        )
    return cell.titled(f"Ping-pong in µs, and connections per second: {_LINKS[link]}", table)


def _flows(link: Link, rows: Sequence[ForwardRow], ascii_only: bool) -> RenderableType:
    window = format_window(rows[0].window_bytes)
    table = _table(
        *("mode", "flows", "Mbit/s", "of direct %", "slowest/fastest", "CPU-s/GB", "retransmits"),
    )
    for mode in dict.fromkeys(row.mode for row in rows):
        for row in sorted((row for row in rows if row.mode is mode), key=lambda row: row.flows):
            even = f"{row.slowest_over_fastest:.2f}" if row.slowest_over_fastest >= 0 else "-"
            add_row(
                table,
                row.mode.value,
                cell.count(row.flows),
                _rate(row, ascii_only),
                cell.percent(row.share_of_direct, 1),
                even,
                cell.cpu(row.proxy_cpu_s_per_gb),
                cell.count(row.retransmits),
            )
    return cell.titled(f"Parallel flows, window {window}: {_LINKS[link]}", table)


def _effort(link: Link, rows: Sequence[ForwardRow]) -> RenderableType:
    table = _table(
        *("mode", "window", "spread Mbit/s", "direct %", "CPU-s/GB", "source %", "sink %", "retr."),
    )
    for mode in dict.fromkeys(row.mode for row in rows):
        for row in (row for row in rows if row.mode is mode):
            add_row(
                table,
                row.mode.value,
                format_window(row.window_bytes),
                cell.spread(row.min_mbit_per_s, row.max_mbit_per_s),
                cell.percent(row.share_of_direct, 1),
                cell.cpu(row.proxy_cpu_s_per_gb),
                cell.percent(row.source_cores),
                cell.percent(row.sink_cores),
                cell.count(row.retransmits),
            )
    return cell.titled(f"CPU, and share of the direct path ({cell.runs(rows)}): {_LINKS[link]}", table)


def _answer(link: Link, rows: Sequence[ForwardRow], ascii_only: bool) -> Iterator[RenderableType]:
    modes = list(dict.fromkeys(row.mode for row in rows))
    table = _table(
        *("window", *(mode.value for mode in modes), "Linux*", "Xen*"),
        left=0,
    )
    by_cell: dict[tuple[int, Mode], ForwardRow] = {(row.window_bytes, row.mode): row for row in rows}
    for window_bytes in dict.fromkeys(row.window_bytes for row in rows):
        found = [by_cell.get((window_bytes, mode)) for mode in modes]
        shown = [_rate(row, ascii_only) if row else "-" for row in found]
        add_row(table, format_window(window_bytes), *shown, *PAPER.get(window_bytes, ("-", "-")))
    yield cell.titled(f"Forwarded in Mbit/s ({cell.runs(rows)}): {_LINKS[link]}", table)
    yield Text(f"* the paper's copying proxy: {cell.PAPER_TESTBED}", "dim")
    if link in (Link.GIGE, Link.TEN_GIGE, Link.NONE):
        yield Text(_VETH, "dim")
    elif link is Link.LOOPBACK:
        yield Text(_LOOPBACK, "dim")
