"""What the user asked for: one validated, frozen value that goes into the record and prints back as TOML."""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass, field
from typing import Any

from loadgen.model.bound import Bound
from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.sending import check_sending
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """How long each part of a run takes.  The warm-up comes before the first iteration only."""

    ramp_up_ns: int
    warmup_ns: int
    measure_ns: int
    ramp_down_ns: int
    iterations: int

    def __post_init__(self) -> None:
        for name in ("ramp_up_ns", "warmup_ns", "ramp_down_ns"):
            if getattr(self, name) < 0:
                raise PlanError(f"{name.removesuffix('_ns')} must not be negative")
        if self.measure_ns < NS_PER_S:
            raise PlanError("the measured duration must be at least 1s")
        if self.iterations < 1:
            raise PlanError(f"iterations must be at least 1, got {self.iterations}")

    def lead_ns(self, iteration: int) -> int:
        """From the start of an iteration to the start of its measured window."""
        return self.ramp_up_ns + (self.warmup_ns if iteration == 0 else 0)

    def length_ns(self, iteration: int) -> int:
        """The whole of an iteration."""
        return self.lead_ns(iteration) + self.measure_ns + self.ramp_down_ns


QUICK = Phases(
    ramp_up_ns=NS_PER_S,
    warmup_ns=4 * NS_PER_S,
    measure_ns=20 * NS_PER_S,  # longer than the longest operation takes at line speed (18.4 s)
    ramp_down_ns=1_500_000_000,
    iterations=3,
)
"""The whole command under 90 s for 16 VMs."""

FULL = Phases(
    ramp_up_ns=300 * NS_PER_S,
    warmup_ns=1200 * NS_PER_S,
    measure_ns=1200 * NS_PER_S,
    ramp_down_ns=300 * NS_PER_S,
    iterations=3,
)
"""SPECweb99's own durations (such a run takes 1 h 50 min)."""

PROFILES = {"quick": QUICK, "full": FULL}


class Server(enum.Enum):
    """Which web server a VM runs."""

    AUTO = "auto"
    NGINX = "nginx"
    APACHE = "apache"
    BUILTIN = "builtin"


class LastAd(enum.Enum):
    """How the client chooses `last_ad` in its cookie (SPECweb99 does not publish it, so it is declared)."""

    PREVIOUS = "previous"  # the Ad_id that the reply before carried
    RANDOM = "random"  # uniform over the 360 ads


class OnLoss(enum.Enum):
    """What becomes of a run that loses a load machine, or an engine of one."""

    DEGRADE = "degrade"  # it goes on without, and its verdict says so
    ABORT = "abort"  # it stops


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecPlan:
    """A `loadgen spec` run.

    Either `vms` servers are started here and listen at `vm_address`, or `targets` are driven where they run.
    `engines` is the number of engine processes on this machine; a fleet counts its own.
    `connections` is per VM; with weights, it is the mean per VM.  `sources` are addresses to connect from; `engine`
    and `timestamps` are as the engines know them.
    """

    vms: int = 16
    targets: tuple[Target, ...] = ()
    connections: int = 20
    server: Server = Server.AUTO
    fileset_per_vm: bool = False
    vm_address: str = "127.0.0.1"
    base_port: int = 0  # 0: any free ports
    phases: Phases = QUICK
    bound: Bound = field(default_factory=lambda: Bound.rate(320_000))
    line_bps: int = 400_000
    paced_reads: bool = False
    timeout_ns: int = 10 * NS_PER_S
    last_ad: LastAd = LastAd.PREVIOUS
    sources: tuple[str, ...] = ()
    engine: str = "auto"
    timestamps: str = "auto"
    engines: int = 1
    on_loss: OnLoss = OnLoss.DEGRADE
    seed: int = 1

    def __post_init__(self) -> None:
        if self.vms < 1:
            raise PlanError(f"vms must be at least 1, got {self.vms}")
        if self.targets and self.vms != len(self.targets):
            raise PlanError(f"{len(self.targets)} targets are given, but vms is {self.vms}")
        names = [t.name for t in self.targets]
        if len(set(names)) != len(names):
            raise PlanError("two targets have the same name")
        if len({target.authority for target in self.targets}) != len(self.targets):
            raise PlanError("two targets are the same server", hint="give it one entry, with a greater weight")
        if self.connections < 1:
            raise PlanError(f"connections must be at least 1, got {self.connections}")
        if not 1 <= self.engines <= self.total_connections:
            raise PlanError(f"engines must be between 1 and the number of connections, got {self.engines}")
        if self.line_bps < 8:
            raise PlanError(f"the line speed must be at least 8 bit/s, got {self.line_bps}")
        if self.bound.floor_bps > self.line_bps:
            raise PlanError(
                f"no connection can reach {self.bound.floor_bps} bit/s on a line of {self.line_bps} bit/s",
                hint="lower the bound with --bound rate:N, or raise --line-speed",
            )
        try:
            ipaddress.ip_address(self.vm_address)
        except ValueError:
            raise PlanError(
                f"{self.vm_address!r} is not an IP address", hint="the VMs' address is one of this machine"
            ) from None
        if self.timeout_ns < 1:
            raise PlanError("the time-out must be positive")
        check_sending(self.engine, self.timestamps, self.sources, paced_reads=self.paced_reads)
        if self.base_port and not 1 <= self.base_port <= 65536 - self.vms:
            raise PlanError(f"ports {self.base_port}..{self.base_port + self.vms - 1} are not all in 1..65535")

    @property
    def total_connections(self) -> int:
        """Requested simultaneous connections, all VMs together."""
        return self.vms * self.connections

    def to_dict(self) -> dict[str, Any]:
        """Plain data (for JSON and TOML) that :meth:`from_dict` reads back to an equal plan."""
        data = to_plain(self)
        assert isinstance(data, dict)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SpecPlan:
        """A plan from plain data.  What is not given has its default; targets say themselves how many VMs there are.

        Raises PlanError on unknown keys, wrong types and values that cannot be.
        """
        targets = data.get("targets")
        if isinstance(targets, list) and targets:
            data = {"vms": len(targets), **data}
        return from_plain(cls, data)
