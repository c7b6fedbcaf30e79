"""What a forward proxy is told, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.errors import PlanError
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_S


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
        for name in ("window_bytes", "idle_ns", "drain_ns"):
            if getattr(self, name) < 0:
                raise PlanError(f"{name} must not be negative")
