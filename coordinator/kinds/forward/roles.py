"""The roles of a forwarding test that run in the foreground until Ctrl-C: the sink and the proxy host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from coordinator.ends import End, ProbeEnd, ProxyEnd
from coordinator.run.interrupts import until_signalled
from loadgen.host.report import fetch
from loadgen.measure.forwarding import HostReport, ProxyCounters
from loadgen.model.address import format_address
from loadgen.model.errors import TargetError
from loadgen.model.probe import Mode
from loadgen.model.units import format_window

Say = Callable[[str], None]


async def be_sink(host: str, port: int, say: Say) -> None:
    """Receive what sources send, until a signal.  Raises LoadgenError when the sink cannot start, or ends by itself."""
    async with until_signalled() as signalled, ProbeEnd("sink") as sink:
        port = await sink.serve(host, port)
        say(f"sink: listens on {format_address(host, port)}  (Ctrl-C ends it)")
        await _wait(signalled, sink)


async def be_proxy(
    host: str,
    port: int,
    *,
    connect_host: str,
    connect_port: int,
    modes: Sequence[Mode],
    windows_bytes: Sequence[int],
    say: Say,
    every_s: float = 5.0,
) -> None:
    """Forward connections of sources until a signal; print the counters every `every_s` seconds when they have changed.

    Raises LoadgenError when the proxy host cannot start, or ends by itself.
    """
    async with until_signalled() as signalled, ProxyEnd("proxy") as proxy:
        port, report = await proxy.host(
            host=host,
            port=port,
            connect_host=connect_host,
            connect_port=connect_port,
            modes=modes,
            windows_bytes=windows_bytes,
        )
        for service in report.services:
            where = format_address(host, service.port)
            say(f"proxy: {service.mode.value} {format_window(service.window_bytes)} on {where}")
        say(f"proxy: reports on {format_address(host, port)}; give this to --proxy  (Ctrl-C ends it)")
        said = totals(report)
        while not await _wait(signalled, proxy, every_s):
            said = await _say_totals(host, port, said, say)
        await _say_totals(host, port, ProxyCounters(accepted=-1), say)


def totals(report: HostReport) -> ProxyCounters:
    """Return the sums of the counters of all services of a host."""
    each = [one.counters for one in report.services]
    return ProxyCounters(
        **{name: sum(getattr(one, name) for one in each) for name in ProxyCounters.__slots__}  # all fields are counts
    )


async def _say_totals(host: str, port: int, said: ProxyCounters, say: Say) -> ProxyCounters:
    """Print the counters.  A host that listens at a wildcard address is asked at the loopback address."""
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        counters = totals(await fetch(asked, port))
    except TargetError as error:
        say(f"proxy: {error.message}")
        return said
    if counters != said:
        failed = counters.refused + counters.upstream_failed + counters.local_limit + counters.reset + counters.idle
        say(
            f"proxy: open={counters.open} accepted={counters.accepted} failed={failed}"
            f" forwarded_MB={counters.forwarded_bytes / 1e6:.1f} returned_MB={counters.returned_bytes / 1e6:.1f}"
        )
    return counters


async def _wait(signalled: asyncio.Event, end: End, timeout_s: float | None = None) -> bool:
    """Return whether a signal came in time.  Raises FleetError when the process ends before the signal."""
    waits = [asyncio.create_task(signalled.wait()), asyncio.create_task(end.wait_lost())]
    try:
        done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if waits[1] in done and not signalled.is_set():
            await waits[1]
        return signalled.is_set()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
