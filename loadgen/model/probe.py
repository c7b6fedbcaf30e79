"""One network test between two ends, and the plans of `loadgen iperf` and `loadgen forward` runs."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.units import NS_PER_MS, NS_PER_S

IPERF_PORT = 5201
"""The port of iperf3."""

WINDOWS_BYTES = (16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10)
"""The windows of the paper's Table 3."""

MIN_DURATION_NS = 100 * NS_PER_MS
MAX_PARALLEL = 1024
MAX_REPEATS = 100
MAX_BLOCK_BYTES = 1 << 24
MIN_UDP_BLOCK_BYTES = 16  # room for the header that each datagram carries
MAX_UDP_BLOCK_BYTES = 65507  # the largest UDP payload over IPv4


class Kind(enum.Enum):
    """The traffic of a test."""

    STREAM = "stream"  # a stream of bytes
    RR = "rr"  # requests and responses of one byte over one connection (netperf's TCP_RR)
    CRR = "crr"  # the same, with a new connection for each request (netperf's TCP_CRR)


class Transport(enum.Enum):
    """The transport protocol of a test."""

    TCP = "tcp"
    UDP = "udp"


class Direction(enum.Enum):
    """The direction of a test from the client's point of view."""

    SEND = "send"
    RECEIVE = "receive"
    BIDIR = "bidir"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTest:
    """One test.  A number of 0 means: no limit, or the choice of the kernel or the transport.

    `window_bytes` is requested with SO_SNDBUF and SO_RCVBUF at both ends.  `block_bytes` is the size of a write, or of
    a datagram with UDP.  `rate_bps` limits each stream in each direction.  `limit_bytes` ends the test early.
    `omit_ns` comes before `duration_ns` and is not counted.  `parallel` is the number of streams in each direction;
    with RR and CRR, the number of simultaneous requests.  `cores` are the cores on which the threads of this end may
    run; () means any.
    """

    kind: Kind = Kind.STREAM
    transport: Transport = Transport.TCP
    direction: Direction = Direction.SEND
    window_bytes: int = 0
    parallel: int = 1
    duration_ns: int = 10 * NS_PER_S
    omit_ns: int = 0
    limit_bytes: int = 0
    block_bytes: int = 0
    rate_bps: int = 0
    congestion: str = ""
    cores: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("window_bytes", "omit_ns", "limit_bytes", "block_bytes", "rate_bps"):
            if getattr(self, name) < 0:
                raise PlanError(f"{name} must not be negative")
        if self.duration_ns < MIN_DURATION_NS:
            raise PlanError("the duration must be at least 100ms")
        if not 1 <= self.parallel <= MAX_PARALLEL:
            raise PlanError(f"the number of parallel streams must be 1 to {MAX_PARALLEL}, got {self.parallel}")
        largest = MAX_UDP_BLOCK_BYTES if self.transport is Transport.UDP else MAX_BLOCK_BYTES
        if self.block_bytes > largest:
            raise PlanError(f"a block must be at most {largest} bytes, got {self.block_bytes}")
        if self.transport is Transport.UDP and 0 < self.block_bytes < MIN_UDP_BLOCK_BYTES:
            raise PlanError(f"a datagram must be at least {MIN_UDP_BLOCK_BYTES} bytes, got {self.block_bytes}")
        if self.kind is not Kind.STREAM and self.transport is Transport.UDP:
            raise PlanError("request/response is measured over TCP only", hint="leave out --udp")


@dataclass(frozen=True, slots=True, kw_only=True)
class IperfPlan:
    """A `loadgen iperf HOST` run: every window in every direction, `repeats` times each.

    A window of 0 is the kernel's choice (auto-tuning).  `at_least_bps` of 0 means that no rate is required.
    """

    host: str
    port: int = IPERF_PORT
    windows_bytes: tuple[int, ...] = WINDOWS_BYTES
    directions: tuple[Direction, ...] = (Direction.RECEIVE, Direction.SEND)
    kind: Kind = Kind.STREAM
    transport: Transport = Transport.TCP
    parallel: int = 1
    duration_ns: int = 10 * NS_PER_S
    omit_ns: int = 0
    repeats: int = 4
    limit_bytes: int = 0
    block_bytes: int = 0
    rate_bps: int = 0
    congestion: str = ""
    cores: tuple[int, ...] = ()
    at_least_bps: int = 0

    def __post_init__(self) -> None:
        check_sweep(self.windows_bytes, self.repeats)
        check_port(self.port)
        if not self.directions:
            raise PlanError("at least one direction is needed")
        for window_bytes in self.windows_bytes:
            for direction in self.directions:
                self.test(window_bytes, direction)

    def test(self, window_bytes: int, direction: Direction) -> ProbeTest:
        """The test of one table cell.  Raises PlanError when it is not allowed."""
        return ProbeTest(
            kind=self.kind,
            transport=self.transport,
            direction=direction,
            window_bytes=window_bytes,
            parallel=self.parallel,
            duration_ns=self.duration_ns,
            omit_ns=self.omit_ns,
            limit_bytes=self.limit_bytes,
            block_bytes=self.block_bytes,
            rate_bps=self.rate_bps,
            congestion=self.congestion,
            cores=self.cores,
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data (for JSON and TOML); :meth:`from_dict` reads it back to an equal plan."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, data: object) -> IperfPlan:
        """The plan that plain data describes.  Raises PlanError that names the field that is wrong."""
        return from_plain(cls, data)


class Link(enum.Enum):
    """The network of a forwarding run: the shaping of a lab's NICs, or no lab."""

    GIGE = "gige"
    TEN_GIGE = "10g"
    NONE = "none"
    LOOPBACK = "loopback"  # no lab: one namespace, and nothing crosses a NIC
    REAL = "real"  # real machines, connected by the user


class Mode(enum.Enum):
    """The way of bytes from the source to the sink."""

    DIRECT = "direct"  # routed by the kernel, without the proxy
    SPLICE = "splice"  # through the proxy, without copies to user space
    COPY = "copy"  # through the proxy, which reads and writes


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardPlan:
    """A `loadgen forward` run: every mode with every window, `repeats` times each; then flows and latency.

    `links` are measured one after the other.  `proxy` and `sink` are HOST:PORT of roles that the user started (then
    `links` is REAL); they are empty in a lab.  `flows` are numbers of parallel streams, tried with
    `flows_window_bytes`.  `at_least_bps` of 0 means that no rate is required.
    """

    links: tuple[Link, ...] = (Link.GIGE,)
    modes: tuple[Mode, ...] = (Mode.DIRECT, Mode.SPLICE, Mode.COPY)
    windows_bytes: tuple[int, ...] = WINDOWS_BYTES
    flows: tuple[int, ...] = (1, 16, 256)
    flows_window_bytes: int = 64 << 10
    duration_ns: int = 3 * NS_PER_S
    omit_ns: int = 500 * NS_PER_MS
    repeats: int = 3
    latency_ns: int = 2 * NS_PER_S
    proxy: str = ""
    sink: str = ""
    at_least_bps: int = 0

    def __post_init__(self) -> None:
        check_sweep(self.windows_bytes, self.repeats)
        if not self.links or len(set(self.links)) != len(self.links):
            raise PlanError("each link must be given once")
        if not self.modes or len(set(self.modes)) != len(self.modes):
            raise PlanError("each mode must be given once")
        if wrong := [count for count in self.flows if not 1 <= count <= MAX_PARALLEL]:
            raise PlanError(f"flows must be 1 to {MAX_PARALLEL}, got {wrong[0]}")
        if (Link.REAL in self.links) != bool(self.sink) or bool(self.proxy) > bool(self.sink):
            raise PlanError(
                "real machines need --sink, and --proxy for splice and copy", hint="or let --lab build the network"
            )
        ProbeTest(duration_ns=self.duration_ns, omit_ns=self.omit_ns)
        ProbeTest(duration_ns=self.latency_ns)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data (for JSON and TOML); :meth:`from_dict` reads it back to an equal plan."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, data: object) -> ForwardPlan:
        """The plan that plain data describes.  Raises PlanError that names the field that is wrong."""
        return from_plain(cls, data)


def check_sweep(windows_bytes: tuple[int, ...], repeats: int) -> None:
    """Raises PlanError for windows or repeats that are not allowed."""
    if not windows_bytes or len(set(windows_bytes)) != len(windows_bytes):
        raise PlanError("each window must be given once", hint="write them like 16K,64K,auto")
    if not 1 <= repeats <= MAX_REPEATS:
        raise PlanError(f"repeats must be 1 to {MAX_REPEATS}, got {repeats}")


def check_port(port: int) -> None:
    """Raises PlanError unless `port` is 1 to 65535."""
    if not 1 <= port <= 65535:
        raise PlanError(f"the port must be 1 to 65535, got {port}")
