"""Measurements of a network probe, from one tick to the end of a test.

Times are differences of CLOCK_MONOTONIC in ns.  An unknown number is -1 (0 bytes is a measurement).  All values convert
to plain data and back with :mod:`loadgen.model.plain`.
"""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.probe import Direction, ProbeTest
from loadgen.model.units import NS_PER_S

UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One interval of a running test, over all streams, as one end measured it.

    `start_ns` and `end_ns`: since the start of the test, including the omitted warm-up.  `omitted`: whether the
    interval is part of the warm-up.  `rtt_ns` is the mean and `cwnd_bytes` the sum over the streams that this end
    sends.  `retransmits`, `packets` and `lost` count within the interval.
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
    """Socket buffer sizes that the kernel granted, from getsockopt (Linux doubles the requested size)."""

    send_bytes: int = UNKNOWN
    receive_bytes: int = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResult:
    """One stream after the test, without the omitted warm-up.

    `direction`: SEND or RECEIVE, as seen by the client.  `sent_bytes`: handed to the sender's kernel; `received_bytes`:
    counted by the receiver.  `rtt_ns`, `rtt_min_ns` and `cwnd_max_bytes` come from the sender's TCP_INFO (a stock
    iperf3 that sends does not report them).
    Datagrams: `packets` were sent, `lost` of them did not arrive, `out_of_order` arrived late, and `duplicates` arrived
    once more (they are in no other count, `received_bytes` included); `dropped` of the lost ones came to the receiver's
    host and found its socket buffer full; `jitter_ns` as in RFC 3550, section 6.4.1.
    `quiet_ns`: TCP; for how long nothing had come when the test ended, 0 up to some 0.1 s.
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
    duplicates: int = UNKNOWN
    dropped: int = UNKNOWN
    jitter_ns: int = UNKNOWN
    quiet_ns: int = UNKNOWN

    @property
    def received_bps(self) -> float:
        """The stream's own rate: bits received over the receiver's time for this stream; 0.0 without time."""
        return self.received_bytes * 8 * NS_PER_S / self.received_ns if self.received_ns > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Request/response times of an RR or CRR test without the omitted warm-up; `failed` transactions have no time.

    `transactions`: those that were answered.  `unanswered`: those that were not when the test ended, and had waited
    longer than any other; `stalled_ns`: how long they waited within the measured time, added up.  A closed loop sends
    nothing while it waits.  Therefore the percentiles count a transaction for each one that the connection would have
    made at its mean pace; each is a lower bound.  `lower_bounds`: the names of the times below that are such bounds.
    """

    transactions: int
    failed: int
    wall_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int
    unanswered: int = 0
    stalled_ns: int = 0
    lower_bounds: tuple[str, ...] = ()

    @property
    def per_s(self) -> float:
        """Transactions per second; 0.0 without time."""
        return self.transactions * NS_PER_S / self.wall_ns if self.wall_ns > 0 else 0.0


NO_LATENCY = Latency(
    transactions=0, failed=0, wall_ns=0, p50_ns=UNKNOWN, p90_ns=UNKNOWN, p99_ns=UNKNOWN, max_ns=UNKNOWN
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One complete test, as its client knows it after both ends exchanged their counts.

    `peer`: name and version that the far end reports; may be empty.  `started_at_ns`: CLOCK_MONOTONIC of the client.
    `wall_ns`: the measured time.  `local_cpu_ns` and `remote_cpu_ns`: CPU time of both ends during `wall_ns`.  This end
    counts all threads of the test, and a stock iperf3 its whole process.  A loadgen server may run other tests, so it
    leaves out its control thread (except with CRR, where that thread does the work).  `local_busiest_ns` and
    `remote_busiest_ns`: CPU time of the busiest thread of an end; no stream is faster than a whole core lets it be.
    `local_runnable_ns`: the same with the time in which the thread waited for a core.  `discarded`: whether this end's
    receiver dropped the bytes in the kernel (MSG_TRUNC) instead of copying them.
    `cut`: why the test ended before its time, or why the far end's counts are missing; empty if it is complete.
    Without the far end's counts, what this end sent over TCP counts as received if the far end's kernel has
    acknowledged it.
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
    local_busiest_ns: int = UNKNOWN
    local_runnable_ns: int = UNKNOWN
    remote_busiest_ns: int = UNKNOWN
    cut: str = ""

    def received_bps(self, direction: Direction) -> float:
        """The received rate in one direction: the bytes of all streams over the time of the slowest stream; 0.0 without
        time.

                Each stream of a test with a byte limit has a time of its own.  The rates of streams that did not run at
        the same time must not be added up.
        """
        streams = [one for one in self.streams if one.direction is direction]
        longest_ns = max((one.received_ns for one in streams), default=0)
        return sum(one.received_bytes for one in streams) * 8 * NS_PER_S / longest_ns if longest_ns > 0 else 0.0

    def received_bytes(self) -> int:
        """Bytes received in both directions, over all streams."""
        return sum(one.received_bytes for one in self.streams)
