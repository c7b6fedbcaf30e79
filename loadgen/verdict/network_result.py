"""The results of network runs: the cells of their tables, and the verdict with the numbers behind it.

Rates count payload that arrived, in Mbit/s (10^6 bits).  CPU is in seconds per GB (10^9 bytes) of payload.
A number that is not known is UNKNOWN (-1), as in :mod:`loadgen.measure.throughput`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import NO_LATENCY, UNKNOWN, Granted, Latency, ProbeResult
from loadgen.model.errors import ExitCode
from loadgen.model.probe import Direction, Link, Mode
from loadgen.model.units import format_window
from loadgen.verdict.result import Trust, Verdict

NOT_GRANTED = Granted()
"""Buffer sizes when neither end reports them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One direction of a cell: median, minimum and maximum over its runs."""

    direction: Direction
    mbit_per_s: float
    min_mbit_per_s: float
    max_mbit_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IperfRow:
    """One window in one direction.

    `rates`: one entry per direction of payload (two with BIDIR), none in a request/response test.
    `runs_mbit_per_s`: the rate of each run in order, both directions together; () in a request/response test.
    `limited_here`: this end was at the limit of its CPU in a run, so the rates are lower bounds.
    `slowest_stream_mbit_per_s`, `fastest_stream_mbit_per_s`: the streams' own rates; UNKNOWN with one stream.  All
    other numbers are medians over the `repeats`, with the streams of a run added up (`rtt_ns`: mean of the streams;
    `latency`: median of each percentile).
    """

    window_bytes: int
    direction: Direction
    repeats: int
    rates: tuple[Rate, ...]
    runs_mbit_per_s: tuple[float, ...]
    local_cpu_s_per_gb: float = UNKNOWN
    remote_cpu_s_per_gb: float = UNKNOWN
    retransmits: float = UNKNOWN
    rtt_ns: float = UNKNOWN
    cwnd_bytes: float = UNKNOWN
    local_granted: Granted = NOT_GRANTED
    remote_granted: Granted = NOT_GRANTED
    loss_share: float = UNKNOWN
    jitter_ns: float = UNKNOWN
    out_of_order: float = UNKNOWN
    duplicates: float = UNKNOWN
    latency: Latency = NO_LATENCY
    limited_here: bool = False
    slowest_stream_mbit_per_s: float = UNKNOWN
    fastest_stream_mbit_per_s: float = UNKNOWN

    @property
    def mbit_per_s(self) -> float:
        """The sum of the directions' medians; 0 in a request/response test."""
        return sum(rate.mbit_per_s for rate in self.rates)

    @property
    def cpu_s_per_gb(self) -> float:
        """CPU of both ends together; UNKNOWN when that of one end is."""
        both = (self.local_cpu_s_per_gb, self.remote_cpu_s_per_gb)
        return sum(both) if min(both) >= 0 else UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRow:
    """One path from source to sink, with one window and one number of flows; medians over the `repeats`.

    `proxy_cpu_s_per_gb` is UNKNOWN for DIRECT: no process is charged for the kernel's routing.  `source_cores` and
    `sink_cores`: CPU time over wall time of the processes at both ends; `source_busy` and `sink_busy`: of the busiest
    thread of each.  `share_of_direct`: the rate as a share of the direct path's with the same window and flows.
    `slowest_over_fastest`: rates of the flows within a run.  `limited_by`: what the rate is the rate of, when that is
    not the proxy: "source", "sink" or "link"; else empty.
    """

    link: Link
    mode: Mode
    window_bytes: int
    flows: int
    repeats: int
    mbit_per_s: float
    min_mbit_per_s: float
    max_mbit_per_s: float
    runs_mbit_per_s: tuple[float, ...]
    proxy_cpu_s_per_gb: float = UNKNOWN
    source_cores: float = UNKNOWN
    sink_cores: float = UNKNOWN
    share_of_direct: float = UNKNOWN
    slowest_over_fastest: float = UNKNOWN
    retransmits: float = UNKNOWN
    source_busy: float = UNKNOWN
    sink_busy: float = UNKNOWN
    limited_by: str = ""

    @property
    def limited_by_end(self) -> bool:
        """Whether the rate is a lower bound, because source or sink could not have shown a higher one."""
        return self.limited_by in ("source", "sink")

    @property
    def name(self) -> str:
        """The row's cell as messages name it: `gige splice 64K`, `gige splice 64K 16 flows`."""
        name = f"{self.link.value} {self.mode.value} {format_window(self.window_bytes)}"
        return name if self.flows == 1 else f"{name} {self.flows} flows"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRow:
    """Request/response times (`latency`) and connections per second of one path.

    `added_ns`: its p50 minus that of DIRECT.  `failed`: failed transactions of both tests.  `connections_limited_by`:
    "source" or "sink" when its CPU limited the connections per second; else empty.
    """

    link: Link
    mode: Mode
    latency: Latency = NO_LATENCY
    added_ns: float = UNKNOWN
    connections_per_s: float = UNKNOWN
    failed: int = 0
    connections_limited_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NicProof:
    """Whether the bytes of one test entered the proxy's host by one NIC and left it by another.

    `payload_bytes`: payload of the direction that had more.  During the test, `rx_nic` received `rx_bytes` and
    `tx_nic`, a different NIC, sent `tx_bytes`; a name is empty when there was no such NIC.
    """

    link: Link
    mode: Mode
    window_bytes: int
    flows: int
    payload_bytes: int
    rx_nic: str
    rx_bytes: int
    tx_nic: str
    tx_bytes: int
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IperfResult:
    """The result of `loadgen iperf`.

    `asked`: whether a rate was required (`--at-least`); without one, CONFORMING only means that the measurement is
    valid.  `peer`: name and version that the far end reports.  `measured`: the tests that were judged; empty in a
    result that was read from a record.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    rows: tuple[IperfRow, ...]
    trust: Trust
    asked: bool
    peer: str = ""
    notes: tuple[str, ...] = ()
    measured: tuple[ProbeResult, ...] = field(default=(), compare=False)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardResult:
    """The result of `loadgen forward`; fields as in :class:`IperfResult`."""

    verdict: Verdict
    reasons: tuple[str, ...]
    rows: tuple[ForwardRow, ...]
    latencies: tuple[LatencyRow, ...]
    proofs: tuple[NicProof, ...]
    trust: Trust
    asked: bool
    notes: tuple[str, ...] = ()
    measured: tuple[Passage, ...] = field(default=(), compare=False)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code
