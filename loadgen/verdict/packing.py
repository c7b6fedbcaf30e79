"""The planner of `loadgen pack`: how many VMs are started next, or what ends the packing.  Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadgen.measure.packing import Floor, Limit, Step
from loadgen.model.pack import MAX_PORT, PackPlan
from loadgen.model.units import counted, format_size

MOST_AT_ONCE = 256
"""VMs that start together at most: after so many, floors and limits are looked at again."""

_KEPT_OF_LIMIT = 512
_KEPT_SHARE = 8  # of a small limit, an eighth is kept free
_NEARLY_USED = 0.8  # an error from the kernel is laid to a limit of which so much was used
_NO_TASK = ("resource temporarily unavailable", "unable to fork", "can't fork", "cannot fork", "pthread_create")
_NO_FILE = ("too many open files",)
_NO_MEMORY = ("cannot allocate memory", "out of memory")
_NO_PORT = ("a free port on", "address already in use", "cannot assign requested address")
_NO_DISK = ("no space left", "disk quota exceeded")


class Cause(enum.Enum):
    """What ended the packing."""

    ASKED = "asked"  # as many VMs as were asked for
    RESERVED = "reserved"  # the reservations are used up
    MEMORY = "memory"  # the floor of free memory
    DISK = "disk"  # the floor of free disk space
    LIMIT = "limit"  # a limit of the machine: tasks, descriptors, ports
    SILENT = "silent"  # a VM did not answer
    DEATH = "death"  # a VM ended by itself
    REFUSED = "refused"  # a VM could not be started, in the driver's words
    INTERRUPTED = "interrupted"  # by the user


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of the packing: the cause, and a sentence that names it."""

    cause: Cause
    why: str


def next_vms(plan: PackPlan, steps: Sequence[Step], deaths: Sequence[str] = ()) -> int | Stop:
    """The number of VMs to start next; or the reason why no more are started.

    `steps` begins with the state before the first VM.  `deaths` are sentences on VMs that ended by themselves.

    The number of VMs doubles, up to MOST_AT_ONCE at once.  After a refusal, each further attempt is half as large, so
    that the last VM that fits is found; a refused single VM is the end.
    """
    now = steps[-1].vms
    if deaths:
        return Stop(Cause.DEATH, deaths[0])
    if plan.count and now >= plan.count:
        return Stop(Cause.ASKED, f"{counted(now, 'VM')} were asked for" if now > 1 else "1 VM was asked for")
    if steps[-1].refused and steps[-1].tried == 1:
        return name_refusal(plan, steps)
    most, stop = MOST_AT_ONCE, Stop(Cause.ASKED, "")
    for room, reason in _rooms(plan, steps):
        if room < most:
            most, stop = room, reason
    if most < 1:
        return stop
    size = min(max(1, now), most)
    if plan.count:
        size = min(size, plan.count - now)
    first = next((number for number, step in enumerate(steps) if step.refused), None)
    if first is not None:
        size = min(size, max(1, steps[first].tried >> (len(steps) - first)))
    return size


def name_refusal(plan: PackPlan, steps: Sequence[Step]) -> Stop:
    """The cause of the last refusal, by the strongest evidence: a counter of the kernel, then the words of the error.

    A limit is named only when the kernel counted a refusal, or when it was nearly used up.
    """
    last = steps[-1]
    said = last.refused
    if last.floor is not Floor.NONE:
        return _floor(plan, last.floor)
    before = {limit.name: limit for step in steps[:-1] for limit in step.room.limits}
    for limit in last.room.limits:
        if limit.name in before and limit.hits > max(0, before[limit.name].hits):
            return Stop(Cause.LIMIT, f"{_named(limit)}: the kernel refused more ({said})")
    words = said.lower()
    for marks, unit in ((_NO_TASK, "tasks"), (_NO_FILE, "open files"), (_NO_PORT, "ports")):
        if any(mark in words for mark in marks):
            full = _fullest(last.room.limits, unit)
            if full is not None:
                return Stop(Cause.LIMIT, f"{_named(full)} ({said})")
            return Stop(Cause.LIMIT, f"{unit}: the limit that was reached is not one that loadgen can read ({said})")
    if any(mark in words for mark in _NO_MEMORY):
        return Stop(Cause.MEMORY, f"memory: the kernel refused more ({said})")
    if any(mark in words for mark in _NO_DISK):
        return Stop(Cause.DISK, f"disk: the file system is full ({said})")
    return Stop(Cause.SILENT if "does not serve" in words else Cause.REFUSED, said)


def kept(limit: Limit) -> int:
    """How much of a limit is left to the machine: 512, or an eighth of a small limit."""
    return min(_KEPT_OF_LIMIT, limit.limit // _KEPT_SHARE)


def admitted(plan: PackPlan, start: Step) -> tuple[int, Stop] | None:
    """The VMs whose reservations fit into what was free before the first VM, and what limits them.

    None without reservations.
    """
    found = []
    for what, size, free, keep in (
        ("memory", plan.reserve_memory_bytes, start.room.memory_bytes, plan.keep_memory_bytes),
        ("disk", plan.reserve_disk_bytes, start.room.disk_bytes, plan.keep_disk_bytes),
    ):
        if size:
            count = max(0, free - keep) // size
            why = (
                f"reserved {what}: {count} x {format_size(size)} is all that fits into {_gib(free)} free "
                f"less {_gib(keep)} kept free"
            )
            found.append((count, Stop(Cause.RESERVED, why)))
    return min(found, key=lambda one: one[0], default=None)


def _rooms(plan: PackPlan, steps: Sequence[Step]) -> Iterator[tuple[int, Stop]]:
    """The number of VMs for which each resource has room, with the reason to stop when there is none."""
    start, now = steps[0], [step for step in steps if not step.refused][-1]
    admits = admitted(plan, start)
    if admits is not None:
        yield admits[0] - now.vms, admits[1]
    if plan.base_port and not plan.is_network:
        ports = MAX_PORT + 1 - plan.base_port
        yield ports - now.vms, Stop(Cause.LIMIT, f"ports: {plan.base_port} to {MAX_PORT} are all in use")
    for floor, before, left, keep in (
        (Floor.MEMORY, start.room.memory_bytes, now.room.memory_bytes, plan.keep_memory_bytes),
        (Floor.DISK, start.room.disk_bytes, now.room.disk_bytes, plan.keep_disk_bytes),
    ):
        yield _fitting(left - keep, _each(before - left, now.vms)), _floor(plan, floor)
    was = {limit.name: limit for limit in start.room.limits}
    for limit in now.room.limits:
        grown = limit.used - was[limit.name].used if limit.name in was else 0
        free = limit.limit - limit.used - kept(limit)
        room = free // limit.needed - now.vms if limit.needed else _fitting(free, _each(grown, now.vms))
        yield room, Stop(Cause.LIMIT, f"{_named(limit)}, of which {kept(limit):,} are kept free")


def _each(grown: int, vms: int) -> float:
    """What each VM takes by the growth so far; at least one byte or piece."""
    return max(1.0, grown / vms) if vms else 1.0


def _fitting(free: int, each: float) -> int:
    """The VMs that fit.  When few do, half of them: the next look is more exact."""
    fit = int(free / each)
    if free <= 0:
        return 0
    return fit // 2 if 1 < fit < MOST_AT_ONCE else fit


def _floor(plan: PackPlan, floor: Floor) -> Stop:
    if floor is Floor.MEMORY:
        return Stop(Cause.MEMORY, f"memory: another VM would leave less than the {_gib(plan.keep_memory_bytes)} "
                    "that is kept free")  # fmt: skip
    return Stop(
        Cause.DISK, f"disk: another VM would leave less than the {_gib(plan.keep_disk_bytes)} that is kept free"
    )


def _fullest(limits: Sequence[Limit], unit: str) -> Limit | None:
    """The limit on `unit` that was used most, when it was nearly used up."""
    near = [one for one in limits if one.unit == unit and one.limit > 0 and one.used >= _NEARLY_USED * one.limit]
    return max(near, key=lambda one: one.used / one.limit, default=None)


def _named(limit: Limit) -> str:
    return f"{limit.unit}: {limit.name} allows {limit.limit:,}, and {limit.used:,} are in use"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.1f} GiB"
