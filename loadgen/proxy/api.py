"""The configuration of a forward proxy and of a proxy host."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.errors import PlanError
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_S

_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server to forward to: a name or an address, and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """One listening proxy.  Raises PlanError if a value is out of range.

    `upstreams`: connections go to them in turn.  `window_bytes`: requested SO_SNDBUF and SO_RCVBUF of all sockets; 0
    leaves them to the kernel.  `source_host`: local address of connections to the upstream; empty for the kernel's
    choice.  `max_connections`: further connections are reset.  `idle_ns`: connections without a byte in either
    direction for this time are reset; 0 for never.  `drain_ns`: time that open connections have to end after SIGTERM,
    when no new ones are accepted.  `keepalive_ns`: a peer that was silent for so long is probed, and given up after six
    probes without an answer, 10 s apart; 0 for never.  `proxy_header`: send the header of the PROXY protocol, version
    2, to the upstream first.
    """

    listen_host: str
    listen_port: int
    upstreams: tuple[Upstream, ...]
    mode: Mode = Mode.SPLICE
    window_bytes: int = 0
    source_host: str = ""
    max_connections: int = 4096
    idle_ns: int = 0
    connect_timeout_ns: int = 5 * NS_PER_S
    drain_ns: int = 10 * NS_PER_S
    keepalive_ns: int = 60 * NS_PER_S
    proxy_header: bool = False

    def __post_init__(self) -> None:
        if self.mode is Mode.DIRECT:
            raise PlanError(
                "the mode of a proxy must be splice or copy, not direct", hint="--mode splice or --mode copy"
            )
        if self.max_connections < 1:
            raise PlanError(f"the limit of connections must be at least 1, got {self.max_connections}")
        if not 0 <= self.listen_port <= _MAX_PORT:
            raise PlanError(f"the port to listen on must be 0 to {_MAX_PORT}, got {self.listen_port}")
        if not self.upstreams:
            raise PlanError("a proxy needs at least one upstream")
        for upstream in self.upstreams:
            if not 1 <= upstream.port <= _MAX_PORT:
                raise PlanError(f"the port to connect to must be 1 to {_MAX_PORT}, got {upstream.port}")
        if self.connect_timeout_ns < 1:
            raise PlanError("the connect time-out must be longer than 0")
        for name in ("window_bytes", "idle_ns", "drain_ns", "keepalive_ns"):
            if getattr(self, name) < 0:
                raise PlanError(f"{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """A proxy host: a report port, and one proxy per mode and window, all with the same upstream.

    The ports of the proxies follow the report port `port`; with `port` 0, all ports are free ones.
    """

    host: str
    port: int
    connect_host: str
    connect_port: int
    modes: tuple[Mode, ...]
    windows_bytes: tuple[int, ...]

    def proxies(self) -> tuple[ProxyConfig, ...]:
        """One configuration per mode and window, in that order.  Raises PlanError if a port is out of range."""
        ways = [(mode, window_bytes) for mode in self.modes for window_bytes in self.windows_bytes]
        return tuple(
            ProxyConfig(
                listen_host=self.host,
                listen_port=self.port + number if self.port else 0,
                upstreams=(Upstream(self.connect_host, self.connect_port),),
                mode=mode,
                window_bytes=window_bytes,
            )
            for number, (mode, window_bytes) in enumerate(ways, start=1)
        )
