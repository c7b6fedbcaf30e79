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
from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Kind
from loadgen.model.units import NS_PER_MS, NS_PER_S, format_window
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
            {"group": group, "name": name, "value": None if ns < 0 else ns / NS_PER_MS}
            for group, row in zip(groups, latencies, strict=True)
            for name, ns in zip(_TIMES, (row.latency.p50_ns, row.latency.p90_ns, row.latency.p99_ns), strict=True)
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
        bars = [
            {"group": row.mode.value, "name": name, "value": None if ns < 0 else ns / 1000}
            for row in own_times
            for name, ns in zip(_TIMES, (row.latency.p50_ns, row.latency.p90_ns, row.latency.p99_ns), strict=True)
        ]
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
        }
        for row in rows
    ]
    groups, names = (list(dict.fromkeys(bar[key] for bar in bars)) for key in ("group", "name"))
    yield grouped(title, groups, names, bars, unit="Mbit/s", of=of, note=_SPREAD)


def _over_time(judged: Judged[Any, Any]) -> Iterator[Block]:
    """The rate in each interval of the first tests: a run that falls over time is seen nowhere else."""
    tests: list[ProbeResult | Passage] = [one for part in parts_of(judged) for one in part.record.measured]
    series, cells = [], []
    for number, one in enumerate(tests, start=1):
        result = one.result if isinstance(one, Passage) else one
        ticks = [tick for tick in result.ticks if tick.end_ns > tick.start_ns and not tick.omitted]
        if result.test.kind is not Kind.STREAM or len(ticks) < 2:
            continue
        way = f"{one.link.value} {one.mode.value}" if isinstance(one, Passage) else result.test.direction.value
        window = format_window(one.window_bytes if isinstance(one, Passage) else result.test.window_bytes)
        rates = [
            max(tick.sent_bytes, tick.received_bytes) * 8e-6 * NS_PER_S / (tick.end_ns - tick.start_ns)
            for tick in ticks
        ]
        name = f"{number}: {way} {window}"
        series.append((name, [tick.end_ns / NS_PER_S for tick in ticks], rates))
        cells.append((name, text(min(rates)), text(sum(rates) / len(rates)), text(max(rates)), f"{len(rates)}"))
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
    note = "" if len(shown) == len(series) else f"The {len(shown)} tests whose rate varies most, of {len(series)}."
    head = ("test", "lowest", "mean", "highest", "intervals")
    table = Table("Rate in the intervals of each test, Mbit/s", head, tuple(cells))
    yield Plot("Rate over time in each test", f"{len(series)} tests.", data, table, note)
