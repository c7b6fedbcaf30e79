"""What a network run ends with: the cells of its tables, and the verdict with the numbers behind it.

Rates are of payload, as it arrived, in Mbit/s (10^6 bits).  CPU is in seconds for each GB (10^9 bytes) of payload.
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
"""Where neither end says what its kernel gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One direction of a cell: the median of its runs, and their spread."""

    direction: Direction
    mbit_per_s: float
    min_mbit_per_s: float
    max_mbit_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IperfRow:
    """One window in one direction.

    `rates` has an entry for each direction that bytes went (two with BIDIR), none in a request/response test.
    All that is not a spread is the median over the `repeats`, streams of a run added up (`rtt_ns`: their mean;
    `latency`: each percentile by itself).  `runs_mbit_per_s` are the runs' own rates in their order, both
    directions together; () in a request/response test.
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
    latency: Latency = NO_LATENCY

    @property
    def mbit_per_s(self) -> float:
        """The medians of its directions together; 0 without any."""
        return sum(rate.mbit_per_s for rate in self.rates)

    @property
    def cpu_s_per_gb(self) -> float:
        """Both sides together; UNKNOWN when one of them is."""
        both = (self.local_cpu_s_per_gb, self.remote_cpu_s_per_gb)
        return sum(both) if min(both) >= 0 else UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRow:
    """One way from source to sink, with one window and so many flows.

    `proxy_cpu_s_per_gb` is UNKNOWN for DIRECT: the kernel's routing is nobody's CPU time.  `source_cores` and
    `sink_cores` are how many cores' worth of CPU the ends' processes used.  `share_of_direct` compares with the
    direct path of the same window and flows.  `slowest_over_fastest` is between the flows of a run.
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

    @property
    def name(self) -> str:
        """The row's cell as messages name it: `gige splice 64K`, `gige splice 64K 16 flows`."""
        name = f"{self.link.value} {self.mode.value} {format_window(self.window_bytes)}"
        return name if self.flows == 1 else f"{name} {self.flows} flows"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRow:
    """Ping-pong (`latency`) and connections a second on one way; `added_ns` is the p50 over that of DIRECT.

    `failed` counts transactions of both tests that came to nothing.
    """

    link: Link
    mode: Mode
    latency: Latency = NO_LATENCY
    added_ns: float = UNKNOWN
    connections_per_s: float = UNKNOWN
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NicProof:
    """Whether the bytes of one passage went in at one NIC of the proxy's host and out at another.

    `payload_bytes` are those of the passage's greater direction.  `rx_nic` received `rx_bytes` while the passage
    ran, and `tx_nic`, another one, sent `tx_bytes`; empty names when there was no such NIC.
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
    """The end of `loadgen iperf`.

    `asked` says whether a rate was asked for (`--at-least`): without one, CONFORMING only means that the
    measurement is valid.  `peer` is what the other end calls itself.  `measured` is what was judged; a result that
    was read from a record is without it.
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
        """What the command exits with."""
        return self.verdict.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardResult:
    """The end of `loadgen forward`; fields as in :class:`IperfResult`."""

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
        """What the command exits with."""
        return self.verdict.exit_code
