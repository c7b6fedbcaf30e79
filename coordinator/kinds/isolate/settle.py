"""Whether a plan of `loadgen isolate` may be played on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from deploy.hogs.catalog import DISK_BYTES
from deploy.vms.catalog import CONFINED, SET_LIMITS
from loadgen.host.room import read_room
from loadgen.model.errors import PlanError
from loadgen.model.isolate import NEEDED_LIMITS, Hog, IsolatePlan
from loadgen.model.units import format_size

_KEPT_DISK_BYTES = 1 << 30


def driver_name(plan: IsolatePlan) -> str:
    """The name of the VM driver: the plan's, or the default."""
    return plan.vm_driver or CONFINED


def is_confined(plan: IsolatePlan) -> bool:
    """Whether the driver holds each VM within limits."""
    return driver_name(plan) in SET_LIMITS


def check_confined(plan: IsolatePlan) -> None:
    """Raise PlanError when hogs would run outside of limits: some are never started there, the others when forced."""
    hogs = [hog for hog in plan.phases if hog is not Hog.NONE]
    if is_confined(plan) or not hogs:
        return
    name = driver_name(plan)
    never = [hog.value for hog in hogs if hog in NEEDED_LIMITS]
    if never:
        rest = ",".join(hog.value for hog in Hog if hog not in NEEDED_LIMITS)
        raise PlanError(
            f"the VM driver {name} sets no limits, and without them these hogs never run: {', '.join(never)}",
            hint=f"choose --vm-driver {CONFINED} (as root), or --hog {rest} --force",
        )
    if not plan.force:
        raise PlanError(
            f"the VM driver {name} confines no VM: hogs would burden the whole machine",
            hint=f"choose --vm-driver {CONFINED} (as root), or give --force",
        )


def check_room(plan: IsolatePlan) -> None:
    """Raise PlanError when the hogs together could take more memory or disk space than this machine can spare."""
    room = read_room(Path(tempfile.gettempdir()))
    memory = plan.vm_limits.memory_bytes
    if Hog.MEMORY in plan.hogs and memory is not None:
        needed = plan.vms * memory + plan.keep_memory_bytes
        if needed > room.memory_bytes:
            raise PlanError(
                f"{plan.vms} VMs of {format_size(memory)} and {format_size(plan.keep_memory_bytes)} to keep free need "
                f"more than the {room.memory_bytes / (1 << 30):.1f} GiB of available memory",
                hint="give a smaller --vm-memory, fewer --antisocial VMs, or leave out the hog memory",
            )
    if Hog.DISK in plan.hogs and plan.antisocial * DISK_BYTES + _KEPT_DISK_BYTES > room.disk_bytes:
        raise PlanError(
            f"{plan.antisocial} disk hogs of {format_size(DISK_BYTES)} do not fit into the "
            f"{room.disk_bytes / (1 << 30):.1f} GiB of free disk space, of which 1 GiB is kept",
            hint="set TMPDIR to a directory on another disk, or leave out the hog disk",
        )
