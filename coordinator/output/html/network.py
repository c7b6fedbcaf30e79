"""Plots of network runs: rates by window (Table 3), forwarding, and the rate over time in each test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from coordinator.output.html.blocks import Block, Plot, Table
from coordinator.output.html.experiments import grouped
from coordinator.output.html.numbers import plain, text
from coordinator.output.judged import Judged
from coordinator.output.measured import parts_of
from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import Latency, ProbeResult, Tick
from loadgen.model.probe import Direction, Kind
from loadgen.model.units import NS_PER_MS, NS_PER_S, NS_PER_US, format_window
from loadgen.verdict.network_result import ForwardResult, ForwardRow, IperfResult

_TESTS = 8
_TIMES = ("p50", "p90", "p99")
_SPREAD = "Lines: from the slowest to the fastest run. The bar is the median."


def iperf_blocks(judged: Judged[Any, IperfResult]) -> Iterator[Block]:
    """Receive and send by window, and the latencies of request/response tests."""
    rows = [row for row in judged.result.rows if row.rates]
    if rows:
        groups = list(dict.fromkeys(format_window(row.window_bytes) for row in rows))
        bars = [
            {
                "group": format_window(row.window_bytes),
                "name": rate.direction.value
                if row.direction is rate.direction
                else f"both ways: {rate.direction.value}",
                "value": rate.mbit_per_s,
                "low": rate.min_mbit_per_s,
                "high": rate.max_mbit_per_s,
                "least": row.limited_here,
            }
            for row in rows
            for rate in row.rates
        ]
        names = list(dict.fromkeys(str(bar["name"]) for bar in bars))
        yield grouped("Rate by window (Table 3)", groups, names, bars, unit="Mbit/s", of="window", note=_SPREAD)
    latencies = [row for row in judged.result.rows if not row.rates]
    if latencies:
        groups = [format_window(row.window_bytes) for row in latencies]
        bars = [
            _time(group, name, row.latency, NS_PER_MS)
            for group, row in zip(groups, latencies, strict=True)
            for name in _TIMES
        ]
        yield grouped("Time of a transaction", list(dict.fromkeys(groups)), _TIMES, bars, unit="ms", of="window")
    yield from _over_time(judged)


def forward_blocks(judged: Judged[Any, ForwardResult]) -> Iterator[Block]:
    """Forwarded rates by window and way, and by number of flows, for each link."""
    result = judged.result
    for link in dict.fromkeys(row.link for row in result.rows):
        own = [row for row in result.rows if row.link is link]
        single = [row for row in own if row.flows == 1]
        yield from _ways(single, f"Forwarded, link {link.value}", "window", lambda row: format_window(row.window_bytes))
        several = [row for row in own if row.flows > 1]
        yield from _ways(
            several, f"Forwarded by parallel flows, link {link.value}", "flows", lambda row: f"{row.flows}"
        )
    times = [row for row in result.latencies if row.latency.p50_ns >= 0]
    for link in dict.fromkeys(row.link for row in times):
        own_times = [row for row in times if row.link is link]
        bars = [_time(row.mode.value, name, row.latency, NS_PER_US) for row in own_times for name in _TIMES]
        groups = [row.mode.value for row in own_times]
        yield grouped(f"Ping-pong, link {link.value}", groups, _TIMES, bars, unit="µs", of="way")
    yield from _over_time(judged)


def _ways(rows: Sequence[ForwardRow], title: str, of: str, group: Any) -> Iterator[Block]:
    if not rows:
        return
    bars = [
        {
            "group": group(row),
            "name": row.mode.value,
            "value": row.mbit_per_s,
            "low": row.min_mbit_per_s,
            "high": row.max_mbit_per_s,
            "least": row.limited_by_end,
        }
        for row in rows
    ]
    groups, names = (list(dict.fromkeys(bar[key] for bar in bars)) for key in ("group", "name"))
    yield grouped(title, groups, names, bars, unit="Mbit/s", of=of, note=_SPREAD)


def _time(group: str, name: str, found: Latency, unit_ns: int) -> dict[str, Any]:
    value_ns = getattr(found, f"{name}_ns")
    value = None if value_ns < 0 else value_ns / unit_ns
    return {"group": group, "name": name, "value": value, "least": f"{name}_ns" in found.lower_bounds}


_WAYS = {Direction.SEND: "sent", Direction.RECEIVE: "received"}


def _over_time(judged: Judged[Any, Any]) -> Iterator[Block]:
    """The rate in each interval of the first tests: a run that falls over time is seen nowhere else."""
    tests: list[ProbeResult | Passage] = [one for part in parts_of(judged) for one in part.record.measured]
    series, cells = [], []
    for number, one in enumerate(tests, start=1):
        result = one.result if isinstance(one, Passage) else one
        ticks = [tick for tick in result.ticks if tick.end_ns > tick.start_ns and not tick.omitted]
        if result.test.kind is not Kind.STREAM or len(ticks) < 2:
            continue
        path = f"{one.link.value} {one.mode.value} " if isinstance(one, Passage) else ""
        window = format_window(one.window_bytes if isinstance(one, Passage) else result.test.window_bytes)
        for way in _ways_of(result.test.direction):
            rates = [_mbit_per_s([tick], way) for tick in ticks]
            name = f"{number}: {path}{window} {_WAYS[way]}"
            series.append((name, [tick.end_ns / NS_PER_S for tick in ticks], rates))
            mean = text(_mbit_per_s(ticks, way))
            cells.append((name, text(min(rates)), mean, text(max(rates)), f"{len(rates)}"))
    if not series:
        return
    shown = sorted(series, key=lambda one: min(one[2]) / max(max(one[2]), 1e-9))[:_TESTS]
    data = {
        "form": "lines",
        "xLabel": "seconds since the start of the test",
        "yLabel": "Mbit/s",
        "series": [
            {"name": name, "x": [plain(at) for at in ends], "y": [plain(rate) for rate in rates]}
            for name, ends, rates in shown
        ],
    }
    sent = any(name.endswith(_WAYS[Direction.SEND]) for name, _, _ in series)
    note = "Sent: what the kernel took of this end, whether it has arrived or not." if sent else ""
    if len(shown) < len(series):
        note = f"{note} The {len(shown)} lines that vary most, of {len(series)}.".strip()
    head = ("test", "lowest", "mean", "highest", "intervals")
    table = Table("Rate in the intervals of each test, Mbit/s", head, tuple(cells))
    yield Plot("Rate over time in each test", f"{len(series)} lines.", data, table, note)


def _ways_of(direction: Direction) -> tuple[Direction, ...]:
    return (Direction.RECEIVE, Direction.SEND) if direction is Direction.BIDIR else (direction,)


def _mbit_per_s(ticks: Sequence[Tick], way: Direction) -> float:
    """The rate in one direction over all of these intervals, whose lengths differ."""
    size = sum(tick.sent_bytes if way is Direction.SEND else tick.received_bytes for tick in ticks)
    return size * 8e-6 * NS_PER_S / sum(tick.end_ns - tick.start_ns for tick in ticks)
