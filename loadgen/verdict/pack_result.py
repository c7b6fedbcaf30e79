"""The result of a `loadgen pack` run.  A number that is not known is UNKNOWN (-1)."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.measure.packing import UNKNOWN, Sweep
from loadgen.model.errors import ExitCode
from loadgen.verdict.packing import Stop
from loadgen.verdict.result import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRow:
    """A point of the curve: `vms` run, of which `tried` were started last, in `start_s`.

    The other numbers are means per VM, each the growth since before the first VM: PSS of the VMs' processes, memory
    of loadgen's control group, decrease of the available memory (both without the PSS of supervisors), kernel memory
    (slab, kernel stacks, page tables), tasks, decrease of the free disk space.
    """

    vms: int
    tried: int
    start_s: float
    pss_bytes: float = UNKNOWN
    group_bytes: float = UNKNOWN
    available_bytes: float = UNKNOWN
    kernel_bytes: float = UNKNOWN
    tasks: float = UNKNOWN
    disk_bytes: float = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class PackResult:
    """How many VMs fit.

    `packed` is the number of VMs that answered in the final sweep, all at once; UNKNOWN in a run that says nothing
    about it (INVALID, or stopped before the sweep).  `started` VMs ran before the sweep.  `sweep` has one entry, or
    none.  `start_s` is the time of all starts that succeeded; `end_s` the time in which all VMs were ended.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    packed: int
    started: int
    stop: Stop
    curve: tuple[PackRow, ...]
    sweep: tuple[Sweep, ...]
    start_s: float
    end_s: float
    supervisors_bytes: int = UNKNOWN
    driver: str = ""
    server: str = ""
    guarantee: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code

    @property
    def starts_per_s(self) -> float:
        """VMs started per second of starting; UNKNOWN without a start."""
        return self.started / self.start_s if self.start_s > 0 else UNKNOWN
