"""What the processes of VMs use, from /proc: the descendants of this process that were started since a moment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Set
from pathlib import Path

from loadgen.host.processes import descendants, take_sample
from loadgen.host.room import group_memory_bytes, read_meminfo
from loadgen.measure.packing import UNKNOWN, Use

_STAT_THREADS = 17  # num_threads of /proc/PID/stat, counted from the state


def own_processes() -> frozenset[int]:
    """This process and all that descend from it now."""
    return frozenset(descendants(take_sample(), [os.getpid()]))


def read_use(before: Set[int], proc: Path = Path("/proc")) -> Use:
    """The use of the processes below this one that are not in `before`; takes about a millisecond for each process.

    Its own children are supervisors, as all drivers start VMs below one (deploy.warden).  VMs that are no descendants
    of this process (containers of a daemon) are not seen: then nothing is known of them.
    """
    pss, supervisors, tasks, processes = 0, 0, 0, 0
    sample = take_sample()
    for pid in descendants(sample, [os.getpid()]) - before:
        with contextlib.suppress(OSError, ValueError, LookupError):  # the process has ended
            own = pss_bytes(proc / str(pid))
            if sample.processes[pid].parent == os.getpid():
                supervisors += own
                continue
            stat = (proc / str(pid) / "stat").read_text(errors="replace")
            tasks += int(stat.rpartition(")")[2].split()[_STAT_THREADS])
            pss += own
            processes += 1
    kernel = read_meminfo(proc)
    return Use(
        pss_bytes=pss if processes else UNKNOWN,
        supervisors_bytes=supervisors,
        processes=processes if processes else UNKNOWN,
        tasks=tasks if processes else UNKNOWN,
        group_bytes=group_memory_bytes(proc),
        slab_bytes=kernel.get("Slab", UNKNOWN),
        stacks_bytes=kernel.get("KernelStack", UNKNOWN),
        tables_bytes=kernel.get("PageTables", UNKNOWN),
    )


def pss_bytes(process: Path) -> int:
    """The proportional set size: private memory, and its share of shared memory.  Raises OSError or ValueError."""
    for line in (process / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{process} has no PSS")
