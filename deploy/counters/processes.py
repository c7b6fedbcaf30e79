"""CPU time, processes and waiting of VMs that have no cgroups of their own, from /proc; and how long threads waited."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.counters.files import read_small
from loadgen.host.processes import Sample, take_sample
from loadgen.measure.vm_second import UNKNOWN

_AGAIN = 10
_MOST_THREADS = 64
_MOST_THREADS_OF_ALL = 4096


class Waiting:
    """How long the threads of VMs could run but had no core (the second number of /proc/PID/schedstat).

    Threads are looked for at each tenth reading, and when processes have come or gone.  What new ones waited until then
    is not seen: the sum is a lower bound.  It is not read for a VM with more than 64 threads, nor for further VMs after
    4,096 threads, because each has a file of its own.
    """

    def __init__(self, vms: int, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._threads: list[dict[int, int]] = [{} for _ in range(vms)]  # by thread: what it had waited
        self._known = [False] * vms
        self._sums = [0] * vms
        self._pids: list[list[int]] = [[] for _ in range(vms)]
        self._readings = 0

    def read(self, pids: Sequence[list[int]]) -> list[int]:
        """The sum of each VM since the first reading, from the processes of each."""
        look = self._readings % _AGAIN == 0
        room = _MOST_THREADS_OF_ALL
        for vm, own in enumerate(pids):
            if look or own != self._pids[vm]:  # the number of a thread that has ended may belong to another VM's
                self._look(vm, own, room)
            room -= len(self._threads[vm])
            threads = self._threads[vm]
            for thread, before in list(threads.items()):
                now = self._waited(thread)
                if now is None:
                    del threads[thread]
                else:
                    self._sums[vm] += max(0, now - before)
                    threads[thread] = now
        self._readings += 1
        return [total if known else UNKNOWN for total, known in zip(self._sums, self._known, strict=True)]

    def _look(self, vm: int, pids: list[int], room: int) -> None:
        self._pids[vm] = pids
        found: list[int] = []
        for pid in pids:
            with contextlib.suppress(OSError, ValueError):  # the process has ended
                found += map(int, os.listdir(f"{self._proc}/{pid}/task"))  # noqa: PTH208 - as in loadgen.host.processes
        self._known[vm] = 0 < len(found) <= min(_MOST_THREADS, room)
        before = self._threads[vm]
        self._threads[vm] = {}
        if self._known[vm]:
            for thread in found:
                waited = before[thread] if thread in before else self._waited(thread)
                if waited is not None:
                    self._threads[vm][thread] = waited

    def _waited(self, thread: int) -> int | None:
        fields = read_small(f"{self._proc}/{thread}/schedstat").split()
        return int(fields[1]) if len(fields) > 1 and fields[1].isdecimal() else None


class Trees:
    """The processes of VMs without cgroups, from one pass over /proc.

    The CPU time of a process that has ended is in that of its parent.  Where the parent has ended, too, the sum of the
    VM becomes smaller.
    """

    def __init__(self, roots: Mapping[int, int], proc: Path = Path("/proc")) -> None:
        """`roots`: the first processes of VMs, with the numbers of the VMs."""
        self._proc = proc
        self._roots = roots
        self._parents: dict[int, int] = {}

    def read(self) -> tuple[Mapping[int, list[int]], Mapping[int, int]]:
        """(processes, CPU time in ns) by the number of the VM; VMs without processes are left out."""
        sample = take_sample(proc=self._proc)
        pids: dict[int, list[int]] = {}
        cpu_ns: dict[int, int] = {}
        owners: dict[int, int | None] = {pid: vm for pid, vm in self._roots.items() if self._is_same(sample, pid)}
        for pid, process in sample.processes.items():
            vm = _owner(sample, pid, owners)
            if vm is not None:
                pids.setdefault(vm, []).append(pid)
                cpu_ns[vm] = cpu_ns.get(vm, 0) + process.cpu_ns + process.reaped_ns
        return pids, cpu_ns

    def _is_same(self, sample: Sample, pid: int) -> bool:
        """Whether a first process still runs: another program may get its number later."""
        process = sample.processes.get(pid)
        return process is not None and self._parents.setdefault(pid, process.parent) == process.parent


def _owner(sample: Sample, pid: int, owners: dict[int, int | None]) -> int | None:
    """The VM of a process; `owners` learns those of its parents."""
    way = []
    while pid not in owners and pid in sample.processes and pid not in way:
        way.append(pid)
        pid = sample.processes[pid].parent
    found = owners.get(pid)
    owners |= dict.fromkeys(way, found)
    return found
