"""Measurements of a forwarding test: bytes from a source to a sink, and the counters of the proxy's host."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Link, Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class NicCounters:
    """Totals of a NIC since it came up (/proc/net/dev), including the headers that the kernel counts."""

    name: str
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCounters:
    """Counters of one listening proxy since it started.

    `open`: connections open now.  `refused`: connections over the limit.  `upstream_failed`: connections without a
    reachable upstream, the sum of those that `upstream_refused`, that were `upstream_unreachable` and that
    `upstream_timed_out`.  `local_limit`: connections that failed because the proxy's machine lacked a port or memory.
    `reset`: connections ended by a reset of either side.  `idle`: connections ended by the idle limit.
    `forwarded_bytes`: sent to the upstream.  `returned_bytes`: sent back to clients.
    """

    accepted: int = 0
    open: int = 0
    refused: int = 0
    upstream_failed: int = 0
    upstream_refused: int = 0
    upstream_unreachable: int = 0
    upstream_timed_out: int = 0
    local_limit: int = 0
    reset: int = 0
    idle: int = 0
    forwarded_bytes: int = 0
    returned_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One proxy on a proxy host: it listens on `port` and forwards in `mode` with sockets of `window_bytes`."""

    mode: Mode
    window_bytes: int
    port: int
    counters: ProxyCounters = ProxyCounters()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """The counters of a proxy host at `at_ns` (its CLOCK_MONOTONIC).

    `cpu_ns`: CPU time of the proxy process since its start.  `memory_bytes`: resident set of that process.  `nics`: all
    NICs but the loopback.
    """

    version: str
    at_ns: int
    cpu_ns: int
    memory_bytes: int
    nics: tuple[NicCounters, ...]
    services: tuple[Service, ...]


NO_REPORT = HostReport(version="", at_ns=0, cpu_ns=0, memory_bytes=0, nics=(), services=())
"""The report when there is no proxy host (loopback, or a sink that is reached directly)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One test from source to sink, with the reports of its proxy host just before and just after the test."""

    link: Link
    mode: Mode
    window_bytes: int
    flows: int
    result: ProbeResult
    before: HostReport
    after: HostReport
