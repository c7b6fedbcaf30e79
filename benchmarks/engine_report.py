"""Prints the figures of the engine benchmark, and the targets that they reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.engine_ours import LATE_MS, Pace

BASE = "wrk"
DELAY_MS = 5.0
"""The responder's delay in the latency part."""

# (reply size in bytes, engine, upper bound for its CPU per request relative to wrk's)
CPU_TARGETS = (
    (100, "python", 1.2),
    (100, "compiled", 0.85),
    (1024, "python", 1.2),
    (1024, "compiled", 0.85),
    (15 * 1024, "compiled", 0.8),
)
_DISTURBED = "others used the client's core"
PACED_TARGETS = (("compiled", 15_000), ("python", 8_000))
MEMORY_TARGETS = (("compiled", 2_048),)
LATENCY_TARGETS = (("compiled", "p50", 0.05), ("compiled", "p99", 0.2), ("python", "p50", 0.3))


@dataclass(frozen=True, slots=True)
class Target:
    """A target, the measured figure, whether it is reached, and why the figure is doubtful ("" if it is not)."""

    what: str
    found: float
    reached: bool
    doubt: str = ""


def ratios(row: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """By client: CPU per request relative to wrk's."""
    return {name: one["x_wrk"] for name, one in row.items() if "x_wrk" in one}


def targets(document: Mapping[str, Any]) -> Iterator[Target]:
    """The targets that `document` has figures for."""
    for size, engine, most in CPU_TARGETS:
        row = document.get("closed", {}).get(str(size), {})
        found = ratios(row).get(engine)
        if found is not None:
            doubt = row[engine]["fault"] or row[BASE]["fault"]
            yield Target(f"{engine} at {size} B: at most {most:g} x wrk's CPU", found, found <= most, doubt)
    for engine, least in PACED_TARGETS:
        if engine in document.get("paced", {}):
            found = document["paced"][engine]["largest"]
            doubt = _DISTURBED if document["paced"][engine]["disturbed"] and found < least else ""
            yield Target(f"{engine}: at least {least:,} paced connections on a core", found, found >= least, doubt)
    for engine, most_bytes in MEMORY_TARGETS:
        if engine in document.get("memory", {}):
            found = document["memory"][engine]["bytes_per_connection"]
            yield Target(f"{engine}: at most {most_bytes:,} B for an idle connection", found, found <= most_bytes)
    for engine, percentile, most_ms in LATENCY_TARGETS:
        if engine in document.get("latency", {}):
            found = document["latency"][engine][f"{percentile}_ms"]
            doubt = document["latency"][engine]["doubt"]
            what = f"{engine}: latency's {percentile} within {most_ms:g} ms of the truth"
            yield Target(what, found, abs(found) <= most_ms, doubt)


def pace_line(pace: Pace) -> str:
    """One trial as a line of text."""
    return (
        f"{pace.connections:,} connections {'keep' if pace.holds else 'do not keep'} pace: "
        f"{pace.operations_per_s:,.0f}/s, lateness p50 {pace.lateness_p50_ms:.2f} p99 {pace.lateness_p99_ms:.2f} ms, "
        f"{pace.connections_off} off by over 1 % (least {pace.rate_min:.4f}), {pace.errors} errors; "
        f"CPU {pace.client_share:.0%}, responder {pace.responder_share:.0%}, others {pace.others:.0%}"
    )


def show(document: Mapping[str, Any]) -> None:
    """Print all figures and targets to stdout."""
    machine = document["machine"]
    print(f"Linux {machine['kernel']}, {machine['cores']} cores, loopback; client and server on one core each")
    for size, row in document.get("closed", {}).items():
        _show_closed(int(size), row, document["rounds"] * document["seconds"])
    if "paced" in document:
        print(f"\nPaced at 400 kbit/s: most connections with p99 lateness < {LATE_MS:g} ms and all within 1 %")
        for engine, found in document["paced"].items():
            best = found["best"]
            how = (
                f"{best['operations_per_s']:,.0f} operations/s of {best['mean_bytes'] / 1e3:.1f} KB, "
                f"CPU {best['client_share']:.0%}, lateness p50 {best['lateness_p50_ms']:.2f} "
                f"p99 {best['lateness_p99_ms']:.2f} ms"
                if best
                else "no number of connections kept pace"
            )
            capped = "; limited by file descriptors" if found["largest"] + 1_000 > found["limit"] else ""
            print(f"  {engine:9} {found['largest']:7,}  ({how}{capped})")
    if "memory" in document:
        print("\nMemory of the engine process per idle connection")
        for engine, found in document["memory"].items():
            print(f"  {engine:9} {found['bytes_per_connection']:7,.0f} B")
    if "latency" in document:
        print(f"\nLatency: reported minus true, ms, at half of each client's maximum; the server takes {DELAY_MS:g} ms")
        print(f"  {'':9} {'req/s':>8} {'p50':>8} {'p99':>8}   true p50, p99")
        for name, found in document["latency"].items():
            print(
                f"  {name:9} {found['requests_per_s']:8,.0f} {found['p50_ms']:+8.3f} {found['p99_ms']:+8.3f}"
                f"   {found['true_p50_ms']:.3f}, {found['true_p99_ms']:.3f}"
            )
    print()
    for target in document["targets"]:
        doubt = f", but {target['doubt']}" if target["doubt"] else ""
        print(f"{target['what']} ({target['found']:,.5g}): {'yes' if target['reached'] else 'NO'}{doubt}")


def _show_closed(size: int, row: Mapping[str, Any], seconds: float) -> None:
    print(f"\nClosed loop, {size} B, 64 connections; each client alternates with {BASE} for {seconds:g} s; medians")
    print(
        f"  {'':9} {'CPU µs/req':>10} {'x wrk':>6} {'half of the turns':>18} {'req/s':>9} {'client':>7} {'server':>7}"
    )
    for name, found in row.items():
        between = f"{found['x_wrk_low']:.2f} to {found['x_wrk_high']:.2f}" if "x_wrk" in found else "-"
        print(
            f"  {name:9} {found['cpu_us']:10.2f} {found.get('x_wrk', 1):6.2f} {between:>18} "
            f"{found['requests_per_s']:9,.0f} {found['client_share']:7.0%} {found['responder_share']:7.0%}"
            f"{_remarks(found)}"
        )


def _remarks(found: Mapping[str, Any]) -> str:
    """What was discarded, and why the figures are not usable."""
    if found["fault"]:
        return f"  ! not usable: {found['fault']}"
    if found["discarded"]:
        return f"  ({len(found['discarded'])} discarded: {', '.join(sorted(set(found['discarded'])))})"
    return ""
