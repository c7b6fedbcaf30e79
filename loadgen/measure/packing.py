"""What is measured while VMs are packed onto a machine: its resources, the VMs' use of them, and the final sweep.

A number that is not known is UNKNOWN (-1).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.model.plain import to_plain

UNKNOWN = -1


class Floor(enum.Enum):
    """The resource whose floor was reached while VMs started; the start was broken off then."""

    NONE = ""
    MEMORY = "memory"
    DISK = "disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit of this machine that VMs may reach, and how much of it is used.

    `name` is as the administrator knows it, such as `kernel.pid_max`.  `unit` is the counted thing, in the plural.
    `needed` is the number that each VM needs, when it is known in advance; 0 when only growth tells.  `hits` is how
    often the kernel has refused something because of this limit; UNKNOWN when the kernel does not count that.
    """

    name: str
    unit: str
    used: int
    limit: int
    needed: int = 0
    hits: int = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The resources of the machine at one moment: cheap to read, so that it can be watched while VMs start.

    `memory_bytes` is MemAvailable, or what is left of a control group's memory limit when that is less.
    `disk_bytes` is the free space for the files of VMs.
    """

    memory_bytes: int
    disk_bytes: int
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The use of the machine by the VMs at one moment.

    `pss_bytes`, `tasks` and `processes` are of the VMs' processes; `supervisors_bytes` is the PSS of the processes that
    supervise them.  `group_bytes` is the memory of loadgen's own control group.  `slab_bytes`, `stacks_bytes` and
    `tables_bytes` are those of the whole kernel (Slab, KernelStack, PageTables).
    """

    pss_bytes: int = UNKNOWN
    supervisors_bytes: int = UNKNOWN
    processes: int = UNKNOWN
    tasks: int = UNKNOWN
    group_bytes: int = UNKNOWN
    slab_bytes: int = UNKNOWN
    stacks_bytes: int = UNKNOWN
    tables_bytes: int = UNKNOWN


NO_USE = Use()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One attempt to start VMs; the first step of a run starts none, and is the state before.

    `tried` VMs were started; `vms` run afterwards.  `refused` says why they did not start (then none of them runs);
    empty when they did.  `floor` is the floor that broke the start off.  `room` is the state afterwards; after a
    refusal, the tightest state during the attempt.
    """

    vms: int
    tried: int
    took_ns: int
    room: Room
    use: Use = NO_USE
    refused: str = ""
    floor: Floor = Floor.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A VM that did not answer the sweep, and why.  `ours`: loadgen itself could not ask it."""

    vm: str
    why: str
    ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The final sweep: a connection to each VM, all open at the same time, then a request on each.

    `at_once` is the number of connections that were open together.  `took_ns` is the time from the first request to
    the last reply; `slowest_ns` is the longest time from a request to the end of its reply.
    """

    asked: int
    answered: int
    at_once: int
    took_ns: int
    slowest_ns: int
    silent: tuple[Silence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """All that a run measured.  `steps` are in order.  `deaths` are sentences on VMs that ended by themselves.

    `sweep` is () before the sweep, else it has one entry.  `ended_ns` is the time in which all VMs were ended.
    """

    steps: tuple[Step, ...]
    sweep: tuple[Sweep, ...] = ()
    deaths: tuple[str, ...] = ()
    ended_ns: int = UNKNOWN
    driver: str = ""
    server: str = ""
    guarantee: str = ""


@dataclass(frozen=True, slots=True)
class KeptStep:
    """A step as it goes into a record's intervals: `writer.append([KeptStep(step)])`."""

    step: Step

    def to_wire(self) -> Mapping[str, Any]:
        """The step as plain data."""
        wire: Mapping[str, Any] = to_plain(self.step)
        return wire
