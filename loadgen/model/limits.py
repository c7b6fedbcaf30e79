"""Limits of the resources of each VM, as asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from loadgen.model.errors import PlanError

_LEAST_CPUS = 0.01  # the kernel's shortest quota, 1 ms, of its default period, 100 ms
_SHARES = range(2, (1 << 18) + 1)  # MIN_SHARES and MAX_SHARES of kernel/sched/sched.h


@dataclass(frozen=True, slots=True, kw_only=True)
class VmLimits:
    """The most that each VM may use; None where it has no limit.

    `cpus` is CPU time per time: 0.5 is half a core.  `cpu_shares` is the VM's part of busy cores, relative to other
    VMs; None gives all VMs the kernel's default of 1024.  `pids` counts processes and threads.  `disk_bytes_per_s`
    applies to reading and to writing, each.
    """

    cpus: float | None = None
    cpu_shares: int | None = None
    memory_bytes: int | None = None
    pids: int | None = None
    disk_bytes_per_s: int | None = None

    def __post_init__(self) -> None:
        if self.cpus is not None and not _LEAST_CPUS <= self.cpus <= 4096:
            raise PlanError(f"a VM may have {_LEAST_CPUS} to 4096 CPUs, got {self.cpus:g}")
        if self.cpu_shares is not None and self.cpu_shares not in _SHARES:
            raise PlanError(f"the CPU shares of a VM must be 2 to {_SHARES[-1]}, got {self.cpu_shares}")
        if self.memory_bytes is not None and self.memory_bytes < 1 << 20:
            raise PlanError(f"the memory of a VM must be at least 1M, got {self.memory_bytes} bytes")
        if self.pids is not None and self.pids < 1:
            raise PlanError(f"the processes of a VM must be at least 1, got {self.pids}")
        if self.disk_bytes_per_s is not None and self.disk_bytes_per_s < 1024:
            raise PlanError(f"the disk rate of a VM must be at least 1K, got {self.disk_bytes_per_s} bytes/s")

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the limits that are set."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) is not None)


NO_LIMITS = VmLimits()
"""A VM may use all that the machine has."""
