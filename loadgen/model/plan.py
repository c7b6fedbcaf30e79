"""The plan of a `loadgen spec` run: the user's request, validated and frozen.

The plan goes into the record, and prints as TOML that reads back to the same plan.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from loadgen.model.address import format_address
from loadgen.model.addresses import is_network, vm_addresses
from loadgen.model.bound import Bound
from loadgen.model.errors import PlanError
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.plain import check_types, from_plain, to_plain
from loadgen.model.sending import EngineKind, Timestamps, check_engines, check_sending, check_timeout
from loadgen.model.target import Target
from loadgen.model.twice import twice
from loadgen.model.units import NS_PER_S, format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """The length of each part of a run.  Only the first iteration has a warm-up."""

    ramp_up_ns: int
    warmup_ns: int
    measure_ns: int
    ramp_down_ns: int
    iterations: int

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("ramp_up_ns", "warmup_ns", "ramp_down_ns"):
            if (length_ns := getattr(self, name)) < 0:
                raise PlanError(f"{name.removesuffix('_ns')} must be at least 0s, got {format_duration(length_ns)}")
        if self.measure_ns < NS_PER_S:
            raise PlanError(f"the measured duration must be at least 1s, got {format_duration(self.measure_ns)}")
        if self.iterations < 1:
            raise PlanError(f"iterations must be at least 1, got {self.iterations}")

    def lead_ns(self, iteration: int) -> int:
        """The time from the start of an iteration to the start of its measured window."""
        return self.ramp_up_ns + (self.warmup_ns if iteration == 0 else 0)

    def length_ns(self, iteration: int) -> int:
        """The time from the start of an iteration to its end."""
        return self.lead_ns(iteration) + self.measure_ns + self.ramp_down_ns

    @property
    def total_ns(self) -> int:
        """The length of all iterations, without the pauses between them in which the servers are asked."""
        return sum(self.length_ns(iteration) for iteration in range(self.iterations))


QUICK = Phases(
    ramp_up_ns=NS_PER_S,
    warmup_ns=4 * NS_PER_S,
    measure_ns=20 * NS_PER_S,  # the longest operation takes 18.4 s at line speed
    ramp_down_ns=1_500_000_000,
    iterations=3,
)
"""Durations with which the whole command takes less than 90 s for 16 VMs."""

FULL = Phases(
    ramp_up_ns=300 * NS_PER_S,
    warmup_ns=1200 * NS_PER_S,
    measure_ns=1200 * NS_PER_S,
    ramp_down_ns=300 * NS_PER_S,
    iterations=3,
)
"""The durations of SPECweb99.  SPECweb99 has no ramp-up before its warm-up, so it takes five minutes less."""

PROFILES = {"quick": QUICK, "full": FULL}


class Server(enum.Enum):
    """The web server that a VM runs."""

    AUTO = "auto"
    NGINX = "nginx"
    APACHE = "apache"
    BUILTIN = "builtin"


class LastAd(enum.Enum):
    """The client's choice of `last_ad` in its cookie.  SPECweb99 does not publish its rule, so a plan declares one."""

    PREVIOUS = "previous"  # the Ad_id of the previous reply
    RANDOM = "random"  # uniform over the 360 ads


class OnLoss(enum.Enum):
    """The policy for the loss of a load machine or an engine process."""

    DEGRADE = "degrade"  # the run continues without it, and the verdict is DEGRADED
    ABORT = "abort"  # the run stops


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecPlan:
    """A `loadgen spec` run.

    Either the driver starts `vms` servers that listen at `vm_address`, or `targets` run elsewhere.  `vm_driver` is a
    name in the catalog of VM drivers, which checks that it fits with `targets`; "" means the default.  `vm_address` may
    be a network in which each VM has an address of its own, if the driver can give them.
    `workload` is a name in the catalog of workloads; "" means the default.
    `engines` is the number of engine processes on this machine; load machines of a fleet have their own number.
    `connections` is per VM; with weights, it is the mean per VM.  `sources` are the addresses to connect from; with
    none, the kernel chooses.  `canary`: each engine has a canary (loadgen.engine.canary).
    """

    vms: int = 16
    workload: str = ""
    vm_driver: str = ""
    targets: tuple[Target, ...] = ()
    connections: int = 20
    server: Server = Server.AUTO
    fileset_per_vm: bool = False
    vm_address: str = "127.0.0.1"
    base_port: int = 0  # 0: any free ports
    vm_limits: VmLimits = NO_LIMITS
    phases: Phases = QUICK
    bound: Bound = field(default_factory=lambda: Bound.rate(320_000))
    line_bps: int = 400_000
    paced_reads: bool = False
    timeout_ns: int = 10 * NS_PER_S
    last_ad: LastAd = LastAd.PREVIOUS
    sources: tuple[str, ...] = ()
    engine: EngineKind = EngineKind.AUTO
    timestamps: Timestamps = Timestamps.AUTO
    canary: bool = True
    engines: int = 1
    on_loss: OnLoss = OnLoss.DEGRADE
    seed: int = 1

    def __post_init__(self) -> None:
        check_types(self)
        if self.vms < 1:
            raise PlanError(f"vms must be at least 1, got {self.vms}")
        if self.targets and self.vms != len(self.targets):
            raise PlanError(f"{len(self.targets)} targets are given, but vms is {self.vms}")
        if name := twice(target.name for target in self.targets):
            raise PlanError(f"two targets have the same name, {name!r}", hint="give each target a name of its own")
        if server := twice(format_address(target.host, target.port) for target in self.targets):
            raise PlanError(f"two targets are the same server, {server}", hint="write one entry, with a greater weight")
        if self.connections < 1:
            raise PlanError(f"connections must be at least 1, got {self.connections}")
        check_engines(self.engines, self.total_connections)
        if self.line_bps < 8:
            raise PlanError(f"the line speed must be at least 8 bit/s, got {self.line_bps}")
        if self.bound.floor_bps > self.line_bps:
            raise PlanError(
                f"no connection can reach {self.bound.floor_bps} bit/s on a line of {self.line_bps} bit/s",
                hint="lower the bound with --bound rate:N, or raise --line-speed",
            )
        vm_addresses(self.vm_address, self.vms)  # raises PlanError
        check_timeout(self.timeout_ns)
        check_sending(self.engine, self.timestamps, self.sources, paced_reads=self.paced_reads)
        last_port = self.base_port + (0 if is_network(self.vm_address) else self.vms - 1)
        if self.base_port and not 1 <= self.base_port <= last_port <= 65535:
            raise PlanError(
                f"ports {self.base_port}..{last_port} are not all in 1..65535",
                hint="choose another base port, or leave it out for any free ports",
            )

    @property
    def total_connections(self) -> int:
        """The number of simultaneous connections to all VMs together."""
        return self.vms * self.connections

    @property
    def vm_hosts(self) -> tuple[str, ...]:
        """The address of each VM that a driver starts."""
        return vm_addresses(self.vm_address, self.vms)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data (for JSON and TOML); :meth:`from_dict` reads it back to an equal plan."""
        data = to_plain(self)
        assert isinstance(data, dict)
        if not self.workload:
            del data["workload"]  # records of versions before 0.2 have no such field
        if not self.vm_driver:
            del data["vm_driver"]  # plans of version 0.1 have no such field
        data["vm_limits"] = {name: value for name, value in data["vm_limits"].items() if value is not None}
        if not self.vm_limits.given:
            del data["vm_limits"]  # nor this one
        if self.canary:
            del data["canary"]  # nor this one
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SpecPlan:
        """The plan that plain data describes.  Fields that are not given have their defaults.

        With targets, the number of VMs may be left out.  Raises PlanError for an unknown key, a wrong type or a value
        that is not allowed.
        """
        targets = data.get("targets")
        if isinstance(targets, list) and targets:
            data = {"vms": len(targets), **data}
        return from_plain(cls, data)
