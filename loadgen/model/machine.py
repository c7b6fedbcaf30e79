"""A load machine as values: how it described itself, how its clock differs from ours, and its state."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The difference between two clocks: a machine's CLOCK_MONOTONIC minus the coordinator's.

    The true difference is within `error_ns` of `offset_ns`.
    """

    offset_ns: int = 0
    error_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A load machine, as it described itself when it joined.

    `workers` are the names of its engine processes.  `open_files` is the limit of each of these processes.
    `sysctls` are the kernel settings that limit a load (loadgen.host.sysctls.SYSCTLS).  `spool` is the directory
    that keeps the measurements until the coordinator has them; empty if there is none.  `address` is the address
    to which commands are sent; empty for the coordinator's own machine.
    """

    name: str
    workers: tuple[str, ...]
    cores: int
    open_files: int
    address: str = ""
    memory_bytes: int = 0
    kernel: str = ""
    python: str = ""
    loadgen: str = ""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    spool: str = ""
    spool_free_bytes: int = 0


class MachineState(enum.Enum):
    """The state of a load machine, as a heartbeat reports it or the live view shows it."""

    READY = "ready"
    ARMED = "armed"
    PLAYING = "playing"
    SILENT = "silent"  # a heartbeat is overdue, but the machine is not given up yet
    LOST = "lost"
