"""The plan of a `loadgen isolate` run: a quiet VM, its antisocial neighbours, and what they do."""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass
from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.limits import VmLimits
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.plan import Server
from loadgen.model.twice import twice
from loadgen.model.units import NS_PER_S, format_size

MAX_ANTISOCIAL = 999
MIN_KEPT_BYTES = 64 << 20
"""The least memory that can be kept free: with less, the machine itself is in danger."""

_LONGEST_NS = 600 * NS_PER_S


class Hog(enum.Enum):
    """What antisocial VMs do.  Each is bounded in time by itself."""

    NONE = "none"  # nothing: the idle case, with the VMs up
    CPU = "cpu"  # a loop
    FORK = "fork"  # a fork bomb
    MEMORY = "memory"  # touches more memory than its limit, again and again
    DISK = "disk"  # writes a file and syncs it, again and again
    NET = "net"  # floods the host with UDP datagrams


HOGS = tuple(hog for hog in Hog if hog is not Hog.NONE)
"""All that do something, in the order in which they are played."""

NEEDED_LIMITS = {Hog.FORK: "pids", Hog.MEMORY: "memory_bytes"}
"""The limits (fields of VmLimits) without which a hog is never started, not even when forced."""


class Game(enum.Enum):
    """The game server in the quiet VM."""

    AUTO = "auto"  # openarena where it is installed, else builtin
    OPENARENA = "openarena"
    BUILTIN = "builtin"  # answers as a game server does, and runs no game


DEFAULT_LIMITS = VmLimits(pids=128, memory_bytes=256 << 20)
"""Enough for the servers of the quiet VM, and few enough for ten VMs on a small machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatePlan:
    """A `loadgen isolate` run.

    The latency of one quiet VM is measured for `measure_ns` beside `antisocial` VMs that do nothing, then again while
    they run each of `hogs`.  `vm_driver` is "" for the default; `vm_address` is "" for the driver's default, else an
    address or a network in which each VM has its own.  With `force`, hogs that need no limit run in a driver that
    confines nothing.  `connections` is the number of connections of the web load on the quiet VM; 0 means no web load.
    A phase is broken off when less than `keep_memory_bytes` of memory are available.
    """

    hogs: tuple[Hog, ...] = HOGS
    antisocial: int = 9
    measure_ns: int = 10 * NS_PER_S
    vm_driver: str = ""
    force: bool = False
    vm_address: str = ""
    vm_limits: VmLimits = DEFAULT_LIMITS
    game: Game = Game.AUTO
    server: Server = Server.AUTO
    connections: int = 10
    keep_memory_bytes: int = 512 << 20
    seed: int = 1

    def __post_init__(self) -> None:
        if hog := twice(one.value for one in self.hogs):
            raise PlanError(f"the hog {hog} is given twice", hint="give each hog once")
        if not 1 <= self.antisocial <= MAX_ANTISOCIAL:
            raise PlanError(f"antisocial VMs must be 1 to {MAX_ANTISOCIAL}, got {self.antisocial}")
        if not NS_PER_S <= self.measure_ns <= _LONGEST_NS:
            raise PlanError(
                f"the measured time of each hog must be 1s to 10m, got {self.measure_ns / NS_PER_S:g}s",
                hint="give a --duration in these bounds: a hog must end by itself",
            )
        if self.connections < 0:
            raise PlanError(f"connections must not be negative, got {self.connections}", hint="0 means no web load")
        if self.keep_memory_bytes < MIN_KEPT_BYTES:
            raise PlanError(
                f"keep_memory_bytes must be at least {format_size(MIN_KEPT_BYTES)}, "
                f"got {format_size(self.keep_memory_bytes)}",
                hint="keep at least so much: the machine itself needs it",
            )
        for one in self.hogs:
            needed = NEEDED_LIMITS.get(one)
            if needed and getattr(self.vm_limits, needed) is None:
                raise PlanError(
                    f"the hog {one.value} never runs without the limit {needed} of its VM",
                    hint=f"give the VMs this limit, or leave out the hog {one.value}",
                )
        _check_address(self)

    @property
    def phases(self) -> tuple[Hog, ...]:
        """What is measured, in order: the idle case first."""
        return (Hog.NONE, *(hog for hog in self.hogs if hog is not Hog.NONE))

    @property
    def vms(self) -> int:
        """The number of VMs: the quiet one and the antisocial ones."""
        return 1 + self.antisocial

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data (for JSON and TOML); :meth:`from_dict` reads it back to an equal plan."""
        plain: dict[str, Any] = to_plain(self)
        plain["vm_limits"] = {name: value for name, value in plain["vm_limits"].items() if value is not None}
        return plain

    @classmethod
    def from_dict(cls, data: object) -> IsolatePlan:
        """The plan that plain data describes.  Raises PlanError that names the field that is wrong."""
        return from_plain(cls, data)


def parse_hogs(text: str) -> tuple[Hog, ...]:
    """The hogs of a text like `cpu,fork`, or `all`.  Raises PlanError."""
    words = [word.strip() for word in text.split(",")]
    if words == ["all"]:
        return HOGS
    known = {hog.value: hog for hog in Hog}
    for word in words:
        if word not in known:
            raise PlanError(f"{word!r} is not a hog", hint=f"choose from {', '.join(known)}, or give all")
    return tuple(known[word] for word in words)


def _check_address(plan: IsolatePlan) -> None:
    if not plan.vm_address:
        return
    try:
        ipaddress.ip_network(plan.vm_address)
    except ValueError as error:
        raise PlanError(
            f"vm_address must be an IP address or a network: {error}", hint="write it like 192.0.2.7 or 198.18.0.0/20"
        ) from None
