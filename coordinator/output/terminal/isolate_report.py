"""The final report of `loadgen isolate`: text for stdout, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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
from loadgen.measure.isolation import Held, Web
from loadgen.model.isolate import Hog, IsolatePlan
from loadgen.model.units import NS_PER_S, format_duration, format_size
from loadgen.verdict.isolate_result import EDGES_MS, IsolateResult, IsolateRow, Latency
from loadgen.verdict.result import Verdict
from loadgen.verdict.span import Span

PAPER = "paper: Quake III beside 9 CPU hogs: VServer below 1 ms mostly, Xen 1-15 ms"
"""The paper's figures: measured from another machine of the LAN, on hardware of 2005."""

_DID: dict[Hog, Callable[[int], str]] = {
    Hog.CPU: lambda did: "",
    Hog.FORK: lambda did: f"{fmt.count(did)} forks",
    Hog.MEMORY: lambda did: f"{did / (1 << 30):.1f} GiB touched",
    Hog.DISK: lambda did: f"{did / (1 << 30):.2f} GiB written",
    Hog.NET: lambda did: f"{did / (1 << 30):.2f} GiB sent",
}


def print_isolate(console: Console, judged: Judged[IsolatePlan, IsolateResult]) -> None:
    """Print the report of an isolation run."""
    console.print(Group(*_parts(judged)), width=min(WIDTH, console.width))


def _parts(judged: Judged[IsolatePlan, IsolateResult]) -> list[RenderableType]:
    result, header = judged.result, judged.header
    parts = head("Isolation: a quiet VM among antisocial ones", header, _setup(header.plan, result), judged.cut)
    if result.verdict is Verdict.INVALID:
        text = "the numbers below do not say what the hogs did."
        parts += [banner("INVALID", text, "bold red"), Text()]
    if result.rows:
        parts += [_latencies("Game server, ms", result.rows, lambda row: row.game), Text(PAPER, "dim"), Text()]
        parts += [_latencies("UDP echo, ms", result.rows, lambda row: row.echo), Text()]
        parts += [_histogram(result.rows), Text()]
        if any(row.web for row in result.rows):
            parts += [_web(result.rows), Text()]
        parts += [_hogs(result.rows, header.plan), Text()]
    valid = result.verdict is Verdict.CONFORMING
    line = verdict_line(result.verdict, "VALID" if valid else "", cut=judged.cut)
    parts += [line, bullets("-", result.reasons)]
    if result.notes:
        parts.append(bullets("note:", result.notes))
    return parts + where(judged.path)


def _setup(plan: IsolatePlan, result: IsolateResult) -> Iterator[tuple[str, str]]:
    about = result.about
    driver = about.get("driver", plan.vm_driver)
    yield "VMs", f"1 quiet and {plan.antisocial} antisocial; driver {driver}; {format_duration(plan.measure_ns)} each"
    game = " ".join(word for word in (about.get("game", ""), about.get("game_version", "")) if word)
    yield "quiet VM", f"game server {game or plan.game.value}; UDP echo; {about.get('version') or plan.server.value}"
    limits = about.get("limits", {})
    words = [
        *([f"{limits['memory_bytes'] >> 20} MiB of memory"] if "memory_bytes" in limits else []),
        *([f"{limits['pids']} processes"] if "pids" in limits else []),
        *([f"{limits['cpus']:g} CPUs"] if "cpus" in limits else []),
        *([f"{format_size(limits['disk_bytes_per_s'])}/s of disk"] if "disk_bytes_per_s" in limits else []),
    ]
    yield "limits", (", ".join(words) if words else "none") + " for each VM"
    if about.get("scheduler"):
        yield "scheduler", str(about["scheduler"])
    if about.get("priority"):
        stamps = "the kernel's receive stamps" if about["stamps"] == "kernel" else "stamps of the prober itself"
        yield "probes", f"{about['priority']}, {stamps}"


def _latencies(title: str, rows: Sequence[IsolateRow], latency: Callable[[IsolateRow], Latency | None]) -> Table:
    table = plain_table(title)
    table.add_column("hog")
    for name in ("probes", "p50", "p95", "p99", "max", "< 1 ms", "lost"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        found = latency(row)
        if found is None:
            add_row(table, row.hog.value, *(fmt.NOTHING,) * 7)
            continue
        add_row(
            table,
            row.hog.value,
            fmt.count(found.sent),
            *(_millis(span) for span in (found.p50, found.p95, found.p99, found.max)),
            _percent(found.below_1ms),
            _percent(found.lost / found.sent if found.sent else None),
        )
    return table


def _histogram(rows: Sequence[IsolateRow]) -> Table:
    """The shares of the echo's probes by latency: there are far more of them than of the game's."""
    table = plain_table("UDP echo: probes by latency in ms, in percent")
    table.add_column("hog")
    for edge in EDGES_MS:
        table.add_column(f"<{edge:g}", justify="right", no_wrap=True)
    table.add_column("more", justify="right", no_wrap=True)
    for row in rows:
        bins = row.echo.bins if row.echo else ()
        add_row(table, row.hog.value, *(_bin(share) for share in bins))
    return table


def _web(rows: Sequence[IsolateRow]) -> Table:
    table = plain_table("Web server under a light SPECweb99-style load")
    table.add_column("hog")
    for name in ("conforming", "loss", "ops/s", "p50 ms", "p99 ms", "errors"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        add_row(table, row.hog.value, *_web_cells(row.web, row.conforming_loss))
    return table


def _web_cells(web: Web | None, loss: float | None) -> Iterator[str]:
    if web is None:
        yield from (fmt.NOTHING,) * 6
        return
    yield fmt.NOTHING if web.conforming is None else f"{web.conforming}/{web.requested}"
    yield _percent(loss)
    yield fmt.NOTHING if web.ops_per_s is None else fmt.rate(web.ops_per_s)
    yield fmt.millis(web.p50_ms)
    yield fmt.millis(web.p99_ms)
    yield fmt.count(web.errors)


def _hogs(rows: Sequence[IsolateRow], plan: IsolatePlan) -> Table:
    """What the antisocial VMs did, what held them, and how the machine outside of them was."""
    table = plain_table("The hogs, and the machine outside of the VMs")
    table.add_column("hog")
    table.add_column("did, and what held it")
    for name in ("CPU s", "start p50", "max ms", "free GiB"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        held, host = row.held, row.host
        add_row(
            table,
            row.hog.value,
            "; ".join(_held(row.hog, held, plan)) if held and held.hogs else "broken off" if row.failed else "",
            f"{held.cpu_ns / NS_PER_S:.1f}" if held and held.cpu_ns is not None else fmt.NOTHING,
            fmt.millis(host.spawn_p50_ms if host else None),
            fmt.millis(host.spawn_max_ms if host else None),
            fmt.NOTHING if host is None else f"{host.free_bytes / (1 << 30):.1f}",
        )
    return table


def _held(hog: Hog, held: Held, plan: IsolatePlan) -> Iterator[str]:
    yield f"{held.running} of {held.hogs} ran to the end"
    if held.did is not None and (did := _DID[hog](held.did)):
        yield did
    if held.pids_refused:
        most = f" of {plan.vm_limits.pids}" if plan.vm_limits.pids else ""
        yield f"at most {fmt.count(held.pids or 0)}{most} processes a VM, {fmt.count(held.pids_refused)} forks refused"
    if held.oom_kills:
        yield f"{fmt.count(held.oom_kills)} killed at the memory limit"


def _millis(span: Span | None) -> str:
    if span is None:
        return fmt.NOTHING
    return fmt.millis(span.low) if span.high is not None else f">={fmt.millis(span.low)}"


def _percent(share: float | None) -> str:
    return fmt.NOTHING if share is None else f"{100 * share:.1f} %"


def _bin(share: float) -> str:
    return "" if share == 0 else f"{100 * share:.1f}"
