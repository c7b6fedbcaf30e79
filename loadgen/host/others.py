"""CPU time that processes outside of a run used on the whole machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from loadgen.host.processes import Sample, descendants

_KTHREADD = 2  # the parent of all kernel threads, which also work for the run


def others_between(before: Sample, after: Sample, ours: Iterable[int]) -> tuple[float, str]:
    """The share of all cores (0..1) that others used or the hypervisor took, and the process that used the most.

    `ours` and all processes below them are left out, and so are processes that ended meanwhile: nobody can tell whose
    they were, and a fork bomb of the run makes thousands of them.  So the share is a lower bound.
    """
    wall_ns = (after.at_ns - before.at_ns) * len(after.cores)
    if wall_ns <= 0:
        return 0.0, ""
    mine = descendants(before, ours) | descendants(after, ours)
    used = Counter[str]()
    for pid, process in after.processes.items():
        earlier = before.processes.get(pid)
        if pid in mine or _KTHREADD in (pid, process.parent) or earlier is None or earlier.name != process.name:
            continue
        used[f"{process.name} (pid {pid})"] += max(0, process.cpu_ns - earlier.cpu_ns)
    stolen_ns = sum(
        max(0, core.stolen_ns - before.cores[number].stolen_ns)
        for number, core in after.cores.items()
        if number in before.cores
    )
    used["the hypervisor"] += stolen_ns
    most, most_ns = max(used.items(), key=lambda one: one[1])
    return min(1.0, used.total() / wall_ns), most if most_ns else ""
