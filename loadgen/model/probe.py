"""One network test between two ends, and the plans of `loadgen iperf` and `loadgen forward` runs."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.plain import check_types, from_plain, to_plain
from loadgen.model.twice import twice
from loadgen.model.units import NS_PER_MS, NS_PER_S, format_duration, format_window

IPERF_PORT = 5201
"""The port of iperf3."""

WINDOWS_BYTES = (16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10)
"""The windows of the paper's Table 3."""

MAX_WINDOW_BYTES = (1 << 31) - 1  # setsockopt takes an int
MIN_MSS_BYTES = 88  # TCP_MIN_MSS of Linux
MAX_MSS_BYTES = 32767  # MAX_TCP_WINDOW of Linux
PASSWORD_VARIABLE = "IPERF3_PASSWORD"
"""The environment variable with the password for a server that demands a login; the same as for iperf3."""

CONNECTION_FIELDS = (
    "mss_bytes",
    "no_delay",
    "type_of_service",
    "bind",
    "client_port",
    "ip_version",
    "connect_timeout_ns",
    "username",
    "rsa_public_key",
)
"""The fields of a plan that concern the connections of its tests, and are left out when they have their default."""

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
    run; () means any.  `bind` is this end's address; streams connect from `client_port` and the ports after it.
    `ip_version` is 4 or 6.  `connect_timeout_ns` limits each connect.  `username` and `rsa_public_key` (the path of a
    file) are for a server that demands a login; the password is in the environment variable PASSWORD_VARIABLE.
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
    mss_bytes: int = 0
    no_delay: bool = False
    type_of_service: int = 0
    bind: str = ""
    client_port: int = 0
    ip_version: int = 0
    connect_timeout_ns: int = 0
    username: str = ""
    rsa_public_key: str = ""

    def __post_init__(self) -> None:
        for name in ("window_bytes", "omit_ns", "limit_bytes", "block_bytes", "rate_bps"):
            if getattr(self, name) < 0:
                raise PlanError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.duration_ns < MIN_DURATION_NS:
            raise PlanError(f"the duration must be at least 100ms, got {format_duration(self.duration_ns)}")
        if not 1 <= self.parallel <= MAX_PARALLEL:
            raise PlanError(f"the number of parallel streams must be 1 to {MAX_PARALLEL}, got {self.parallel}")
        largest = MAX_UDP_BLOCK_BYTES if self.transport is Transport.UDP else MAX_BLOCK_BYTES
        if self.block_bytes > largest:
            raise PlanError(f"a block must be at most {largest} bytes, got {self.block_bytes}")
        if self.transport is Transport.UDP and 0 < self.block_bytes < MIN_UDP_BLOCK_BYTES:
            raise PlanError(f"a datagram must be at least {MIN_UDP_BLOCK_BYTES} bytes, got {self.block_bytes}")
        _check_sockets(self)
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
    mss_bytes: int = 0
    no_delay: bool = False
    type_of_service: int = 0
    bind: str = ""
    client_port: int = 0
    ip_version: int = 0
    connect_timeout_ns: int = 0
    username: str = ""
    rsa_public_key: str = ""
    at_least_bps: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        check_sweep(self.windows_bytes, self.repeats)
        check_port(self.port)
        if not self.directions:
            raise PlanError("no direction is given", hint="give receive, send, bidir, or several of them")
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
            mss_bytes=self.mss_bytes,
            no_delay=self.no_delay,
            type_of_service=self.type_of_service,
            bind=self.bind,
            client_port=self.client_port,
            ip_version=self.ip_version,
            connect_timeout_ns=self.connect_timeout_ns,
            username=self.username,
            rsa_public_key=self.rsa_public_key,
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data (for JSON and TOML); :meth:`from_dict` reads it back to an equal plan."""
        plain: dict[str, Any] = to_plain(self)
        for name in CONNECTION_FIELDS:
            if not plain[name]:
                del plain[name]  # plans of version 0.1 have no such fields
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
        check_types(self)
        check_sweep(self.windows_bytes, self.repeats)
        _check_once("link", [link.value for link in self.links])
        _check_once("mode", [mode.value for mode in self.modes])
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
    _check_once("window", [format_window(one) for one in windows_bytes])
    if not 1 <= repeats <= MAX_REPEATS:
        raise PlanError(f"repeats must be 1 to {MAX_REPEATS}, got {repeats}")


def _check_once(noun: str, given: Sequence[str]) -> None:
    if not given:
        raise PlanError(f"no {noun} is given", hint=f"give one {noun} or several")
    if one := twice(given):
        raise PlanError(f"the {noun} {one} is given twice", hint=f"give each {noun} once")


def _check_sockets(test: ProbeTest) -> None:
    if test.mss_bytes and not MIN_MSS_BYTES <= test.mss_bytes <= MAX_MSS_BYTES:
        raise PlanError(f"the MSS must be {MIN_MSS_BYTES} to {MAX_MSS_BYTES} bytes, got {test.mss_bytes}")
    if not 0 <= test.type_of_service <= 255:
        raise PlanError(f"the type of service must be 0 to 255, got {test.type_of_service}")
    if not 0 <= test.client_port <= 65535 - 2 * test.parallel:
        raise PlanError(f"the client's port must be 1 to {65535 - 2 * test.parallel}, got {test.client_port}")
    if test.ip_version not in (0, 4, 6):
        raise PlanError(f"the IP version must be 4 or 6, got {test.ip_version}")
    if test.connect_timeout_ns < 0:
        raise PlanError(f"connect_timeout_ns must be at least 0, got {test.connect_timeout_ns}")
    if bool(test.username) != bool(test.rsa_public_key):
        missing = "--rsa-public-key" if test.username else "--username"
        raise PlanError(
            f"a login needs both --username and --rsa-public-key, but {missing} is missing",
            hint=f"add {missing}; the password comes from a prompt or a file",
        )


def check_port(port: int) -> None:
    """Raises PlanError unless `port` is 1 to 65535."""
    if not 1 <= port <= 65535:
        raise PlanError(f"the port must be 1 to 65535, got {port}")
