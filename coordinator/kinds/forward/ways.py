"""The network of a forwarding run: a source, and its paths to a sink."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from coordinator.ends import End, ProbeEnd, ProxyEnd
from deploy.lab.namespace import HERE, Inside
from deploy.lab.network import Lab
from deploy.lab.sweep import mark
from deploy.lab.topology import PROXY_HOST, SINK_HOST, Place
from loadgen.measure.forwarding import NO_REPORT, HostReport
from loadgen.model.address import parse_address
from loadgen.model.errors import PlanError
from loadgen.model.probe import ForwardPlan, Link, Mode
from loadgen.model.units import format_window
from workloads.forward import proxy_modes, proxy_windows_bytes

_LOOPBACK_HOST = "127.0.0.1"
_LOST_WITHIN_S = 0.2

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """`source` sends; `sink` is the address at the end of the direct path.  `proxy` is where the proxy host reports;
    None without one.

    `services` are the ports of the proxy host by mode and window.  `others` are the processes that this run started,
    without the source.
    """

    source: ProbeEnd
    sink: Address
    proxy: Address | None
    services: Mapping[tuple[Mode, int], int]
    others: tuple[End, ...] = ()

    def to(self, mode: Mode, window_bytes: int) -> Address:
        """Return the address to which the source connects."""
        if mode is Mode.DIRECT:
            return self.sink
        assert self.proxy is not None
        return self.proxy[0], self.services[mode, window_bytes]

    async def report(self) -> HostReport:
        """Return the current report of the proxy host.  Raises TargetError."""
        return NO_REPORT if self.proxy is None else await self.source.report(*self.proxy)

    async def check(self) -> None:
        """Raise FleetError when a process of this run has ended: then its end is the reason why a test failed."""
        for end in self.others:
            # wait a moment: another process may notice the end of a process before this one
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(end.wait_lost(), _LOST_WITHIN_S)


@contextlib.asynccontextmanager
async def open_ways(plan: ForwardPlan, link: Link) -> AsyncIterator[Ways]:
    """Build the network of `link`, or find the machines that the plan names.  Raises LoadgenError."""
    async with contextlib.AsyncExitStack() as stack:
        if link is Link.REAL:
            yield await _real(plan, stack)
        elif link is Link.LOOPBACK:
            yield await _own(plan, stack, hosts=(_LOOPBACK_HOST, _LOOPBACK_HOST))
        else:
            lab = stack.enter_context(Lab(link))
            yield await _own(plan, stack, hosts=(PROXY_HOST, SINK_HOST), lab=lab)


async def _own(
    plan: ForwardPlan, stack: contextlib.AsyncExitStack, *, hosts: tuple[str, str], lab: Lab | None = None
) -> Ways:
    """Start source, proxy host and sink as processes of this run, at the addresses `hosts` of proxy host and sink."""
    environment = mark() if lab else {}

    def inside(place: Place) -> Inside:
        return lab.inside(place) if lab else HERE

    proxy_host, sink_host = hosts
    sink = await stack.enter_async_context(ProbeEnd("sink", inside=inside(Place.SINK), environment=environment))
    proxy = await stack.enter_async_context(ProxyEnd("proxy", inside=inside(Place.PROXY), environment=environment))
    source = await stack.enter_async_context(ProbeEnd("source", inside=inside(Place.SOURCE), environment=environment))
    sink_port = await sink.serve(sink_host)
    proxy_port, report = await proxy.host(
        host=proxy_host,
        connect_host=sink_host,
        connect_port=sink_port,
        modes=proxy_modes(plan),
        windows_bytes=proxy_windows_bytes(plan),
    )
    return Ways(
        source=source,
        sink=(sink_host, sink_port),
        proxy=(proxy_host, proxy_port),
        services=_services(report),
        others=(sink, proxy),
    )


async def _real(plan: ForwardPlan, stack: contextlib.AsyncExitStack) -> Ways:
    source = await stack.enter_async_context(ProbeEnd("source"))
    proxy, report = None, NO_REPORT
    if plan.proxy:
        proxy = parse_address(plan.proxy)
        report = await source.report(*proxy)
    services = _services(report)
    for mode in proxy_modes(plan):
        for window_bytes in proxy_windows_bytes(plan):
            if (mode, window_bytes) not in services:
                raise PlanError(
                    f"the proxy host {plan.proxy} has no service for {mode.value} {format_window(window_bytes)}",
                    hint="start it with the same --modes and --windows as the source",
                )
    return Ways(source=source, sink=parse_address(plan.sink), proxy=proxy, services=services)


def _services(report: HostReport) -> dict[tuple[Mode, int], int]:
    return {(one.mode, one.window_bytes): one.port for one in report.services}
