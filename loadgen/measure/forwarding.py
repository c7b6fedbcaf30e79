"""What a forwarding test measured: bytes on their way from a source to a sink, and what the proxy's host saw of it."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Link, Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class NicCounters:
    """A NIC's totals since it came up (/proc/net/dev), with whatever headers the kernel counts."""

    name: str
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCounters:
    """What one listening proxy did so far.

    `refused` were over the limit of connections, `upstream_failed` found no upstream, `reset` were cut by a
    reset of either side, `idle` by the time limit.  `open` are connections now.  `forwarded_bytes` went to the
    upstream, `returned_bytes` came back from it.
    """

    accepted: int = 0
    open: int = 0
    refused: int = 0
    upstream_failed: int = 0
    reset: int = 0
    idle: int = 0
    forwarded_bytes: int = 0
    returned_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One way through a proxy host: connect to `port` and be forwarded in `mode` with sockets of `window_bytes`."""

    mode: Mode
    window_bytes: int
    port: int
    counters: ProxyCounters = ProxyCounters()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """A proxy host at one moment.  `cpu_ns` is what the proxy's process has used since it began.

    `nics` are all but the loopback.  `memory_bytes` is the process's resident set.
    """

    version: str
    at_ns: int
    cpu_ns: int
    memory_bytes: int
    nics: tuple[NicCounters, ...]
    services: tuple[Service, ...]


NO_REPORT = HostReport(version="", at_ns=0, cpu_ns=0, memory_bytes=0, nics=(), services=())
"""Where there is no proxy host to ask (loopback without one, a sink reached without a proxy)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One test from source to sink, and its proxy host just before and just after."""

    link: Link
    mode: Mode
    window_bytes: int
    flows: int
    result: ProbeResult
    before: HostReport
    after: HostReport
