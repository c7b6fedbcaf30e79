"""What a forward proxy is told."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.errors import PlanError
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_S

_MAX_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """One listening proxy.

    `window_bytes` is asked of SO_SNDBUF and SO_RCVBUF of all its sockets; 0 leaves them to the kernel.
    `source_host` is the address that connections to the upstream come from; empty: the kernel's choice.
    Over `max_connections` a new one is reset at once; so is one that had no byte in either direction for `idle_ns`
    (0: never).
    After SIGTERM nothing new is accepted and what is open has `drain_ns` to end.
    """

    listen_host: str
    listen_port: int
    connect_host: str
    connect_port: int
    mode: Mode = Mode.SPLICE
    window_bytes: int = 0
    source_host: str = ""
    max_connections: int = 4096
    idle_ns: int = 0
    connect_timeout_ns: int = 5 * NS_PER_S
    drain_ns: int = 10 * NS_PER_S

    def __post_init__(self) -> None:
        if self.mode is Mode.DIRECT:
            raise PlanError("a proxy splices or copies", hint="--mode splice or --mode copy")
        if self.max_connections < 1:
            raise PlanError(f"connections must be at least 1, got {self.max_connections}")
        if not 0 <= self.listen_port <= _MAX_PORT:
            raise PlanError(f"{self.listen_port} is no port to listen on")
        if not 1 <= self.connect_port <= _MAX_PORT:
            raise PlanError(f"{self.connect_port} is no port to connect to")
        if self.connect_timeout_ns < 1:
            raise PlanError("the time to connect must be longer than nothing")
        for name in ("window_bytes", "idle_ns", "drain_ns"):
            if getattr(self, name) < 0:
                raise PlanError(f"{name} must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """A proxy host: a port for its reports and a proxy for each mode and window, all to the same upstream.

    The proxies' ports follow `port`; any free ones when that is 0.
    """

    host: str
    port: int
    connect_host: str
    connect_port: int
    modes: tuple[Mode, ...]
    windows_bytes: tuple[int, ...]

    def proxies(self) -> tuple[ProxyConfig, ...]:
        """One for each mode and window, in that order.  Raises PlanError."""
        ways = [(mode, window_bytes) for mode in self.modes for window_bytes in self.windows_bytes]
        return tuple(
            ProxyConfig(
                listen_host=self.host,
                listen_port=self.port + number if self.port else 0,
                connect_host=self.connect_host,
                connect_port=self.connect_port,
                mode=mode,
                window_bytes=window_bytes,
            )
            for number, (mode, window_bytes) in enumerate(ways, start=1)
        )
