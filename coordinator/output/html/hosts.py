"""Plots of what a host carries: the footprint curve of `loadgen pack`, the latencies of `loadgen isolate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coordinator.output.html.blocks import Block, Plot, Table
from coordinator.output.html.experiments import grouped
from coordinator.output.html.numbers import bounded, plain, text
from coordinator.output.judged import Judged
from loadgen.verdict.isolate_result import EDGES_MS, IsolateResult, Latency
from loadgen.verdict.pack_result import PackResult
from loadgen.verdict.span import Span

_MIB = 1 << 20
_SIZES = {
    "PSS of its processes": "pss_bytes",
    "control group": "group_bytes",
    "less memory available": "available_bytes",
    "kernel memory": "kernel_bytes",
    "disk": "disk_bytes",
}


def pack_blocks(judged: Judged[Any, PackResult]) -> Iterator[Block]:
    """The footprint of a VM by number of VMs, and how fast VMs start."""
    curve = judged.result.curve
    if not curve:
        return
    x = [row.vms for row in curve]
    sizes = {
        name: [value / _MIB if (value := getattr(row, key)) >= 0 else None for row in curve]
        for name, key in _SIZES.items()
    }
    sizes = {name: values for name, values in sizes.items() if any(one is not None for one in values)}
    starts = {"VMs per second": [row.tried / row.start_s if row.start_s > 0 else None for row in curve]}
    for title, unit, series in (
        ("Footprint per VM", "MiB per VM", sizes),
        ("How fast VMs start", "VMs per second", starts),
    ):
        data = {
            "form": "lines",
            "x": x,
            "xLabel": "VMs that run",
            "whole": True,
            "yLabel": unit,
            "dots": True,
            "series": [{"name": name, "y": [plain(one) for one in values]} for name, values in series.items()],
        }
        rows = tuple((f"{vms:,}", *(text(values[at]) for values in series.values())) for at, vms in enumerate(x))
        table = Table(f"{title}, {unit}", ("VMs", *series), rows)
        says = "; ".join(f"{name}: {text(values[-1])} at {x[-1]:,} VMs" for name, values in series.items()) + "."
        yield Plot(title, says, data, table)


_BINS = (f"below {EDGES_MS[0]:g} ms", *(f"below {edge:g} ms" for edge in EDGES_MS[1:]), "slower, or lost")


def isolate_blocks(judged: Judged[Any, IsolateResult]) -> Iterator[Block]:
    """The latency histograms of the quiet VM beside each hog, and the connections that still conform."""
    rows = judged.result.rows
    for title, own in (
        ("Game server", [(row.hog.value, row.game) for row in rows]),
        ("UDP echo", [(row.hog.value, row.echo) for row in rows]),
    ):
        known = [(hog, latency) for hog, latency in own if latency is not None]
        yield from _latencies(title, known)
    lost = [(row.hog.value, row.conforming_loss) for row in rows if row.conforming_loss is not None]
    if lost:
        bars = [{"group": hog, "name": "no longer conform", "value": 100 * loss} for hog, loss in lost]
        yield grouped(
            "Web server: connections that conform when idle, and no longer do", [hog for hog, _ in lost],
            ("no longer conform",), bars, unit="%", of="hog",
        )  # fmt: skip


def _latencies(title: str, known: list[tuple[str, Latency]]) -> Iterator[Block]:
    binned = [(hog, latency) for hog, latency in known if latency.bins]
    if binned:
        data = {
            "form": "stacked",
            "ordered": True,
            "xLabel": "% of the probes",
            "rows": [hog for hog, _ in binned],
            "parts": list(_BINS),
            "values": [[plain(100 * share) for share in latency.bins] for _, latency in binned],
        }
        cells = tuple((hog, *(f"{100 * share:.2f}" for share in latency.bins)) for hog, latency in binned)
        table = Table(f"{title}: probes by latency, %", ("hog", *_BINS), cells)
        worst = min(binned, key=lambda one: one[1].bins[0])
        says = f"Fewest fast probes beside {worst[0]}."
        yield Plot(f"{title}: latency histogram beside each hog", says, data, table)
    dots, rows = [], []
    for hog, latency in known:
        for name in ("p50", "p95", "p99", "max"):
            span = getattr(latency, name)
            if span is not None and span.low > 0:
                dots.append({"name": hog, "value": plain(span.low), "kind": name})
        rows.append(
            (
                hog,
                *(_bound(getattr(latency, name)) for name in ("p50", "p95", "p99", "max")),
                f"{latency.lost:,}",
            )
        )
    if dots:
        data = {"form": "dots", "xLabel": "ms", "log": True, "rows": dots}
        table = Table(f"{title}, ms", ("hog", "p50", "p95", "p99", "max", "lost"), tuple(rows))
        note = "Lower bounds where probes were lost."
        yield Plot(f"{title}: percentiles beside each hog", f"{len(known)} cases.", data, table, note)


def _bound(span: Span | None) -> str:
    """The lower end of an interval, marked when no upper end is known."""
    return text(None) if span is None else bounded(span.low, least=span.high is None)
