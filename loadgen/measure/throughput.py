"""What a network probe measured: plain values, from one tick to the end of a test.

Times are CLOCK_MONOTONIC differences in ns.  A number that is not known is -1 (0 bytes is a measurement).
All of them go to plain data and back with :mod:`loadgen.model.plain`.
"""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.probe import Direction, ProbeTest
from loadgen.model.units import NS_PER_S

UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One interval of a running test, over all streams, as one end saw it.

    Times since the test began, omitted part included.  `rtt_ns` is the mean and `cwnd_bytes` the sum over the
    streams that this end sends; `retransmits`, `packets` and `lost` are those of the interval.
    """

    start_ns: int
    end_ns: int
    omitted: bool
    sent_bytes: int
    received_bytes: int
    retransmits: int = UNKNOWN
    rtt_ns: int = UNKNOWN
    cwnd_bytes: int = UNKNOWN
    packets: int = UNKNOWN
    lost: int = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What the kernel gave for a window, as getsockopt says it (Linux doubles what was asked)."""

    send_bytes: int = UNKNOWN
    receive_bytes: int = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResult:
    """One stream after the test, without what was omitted.

    `direction` is SEND or RECEIVE, as the client sees it.  Both ends' counts: the sender's say what was handed
    to its kernel, the receiver's what arrived.  `rtt_ns`, `rtt_min_ns` and `cwnd_max_bytes` come from TCP_INFO
    where this end is the sender.  Datagrams: `packets` are what the receiver should have had, `lost` those that it did
    not get, `out_of_order` those that came late, `jitter_ns` after RFC 3550 (section 6.4.1).
    """

    id: int
    direction: Direction
    sent_bytes: int
    sent_ns: int
    received_bytes: int
    received_ns: int
    retransmits: int = UNKNOWN
    rtt_ns: int = UNKNOWN
    rtt_min_ns: int = UNKNOWN
    cwnd_max_bytes: int = UNKNOWN
    packets: int = UNKNOWN
    lost: int = UNKNOWN
    out_of_order: int = UNKNOWN
    jitter_ns: int = UNKNOWN

    @property
    def received_bps(self) -> float:
        """What arrived, over the receiver's own time: what the result counts."""
        return self.received_bytes * 8 * NS_PER_S / self.received_ns if self.received_ns > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Request/response times of a RR or CRR test, omitted part excluded; `failed` transactions have no time."""

    transactions: int
    failed: int
    wall_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int

    @property
    def per_s(self) -> float:
        """Transactions a second."""
        return self.transactions * NS_PER_S / self.wall_ns if self.wall_ns > 0 else 0.0


NO_LATENCY = Latency(
    transactions=0, failed=0, wall_ns=0, p50_ns=UNKNOWN, p90_ns=UNKNOWN, p99_ns=UNKNOWN, max_ns=UNKNOWN
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One test, whole, as its client has it after both ends exchanged what they counted.

    `peer` is what the other end calls itself, empty if it does not say.  CPU is that of the ends over `wall_ns`, the
    measured time: of all threads that worked for this test here, of the whole process of a stock peer; a loadgen
    server, which may have other tests, leaves out its control thread (except with CRR, where that does the work).
    `started_at_ns` is the client's CLOCK_MONOTONIC.  `discarded` says that this end's receiver dropped the bytes in
    the kernel (MSG_TRUNC) instead of copying them out.
    """

    test: ProbeTest
    peer: str
    started_at_ns: int
    wall_ns: int
    local_cpu_ns: int
    remote_cpu_ns: int
    local_granted: Granted
    remote_granted: Granted
    congestion: str
    discarded: bool
    streams: tuple[StreamResult, ...]
    ticks: tuple[Tick, ...]
    latency: Latency = NO_LATENCY

    def received_bps(self, direction: Direction) -> float:
        """What arrived in one direction, all streams together."""
        return sum(one.received_bps for one in self.streams if one.direction is direction)

    def received_bytes(self) -> int:
        """What arrived, both directions together."""
        return sum(one.received_bytes for one in self.streams)
