"""Reads the counters of all VMs of a run."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.counters.files import OpenGroup, read_small
from deploy.counters.network import NetworkReader
from deploy.counters.place import VmPlace
from deploy.counters.processes import Trees, Waiting
from deploy.footprint import pss_bytes
from deploy.limits.groups import Group, usage
from loadgen.host.listen_queues import listen_drops
from loadgen.measure.vm_second import COLUMNS, COUNTED, UNKNOWN, VmSecond
from loadgen.model.units import NS_PER_S

_FILES_PER_VM = 8
_KEPT_SHARE = 2  # of the descriptors that this process may have, at most one in so many is kept open
_STAT_FIELDS = 9  # of the first line of /proc/stat: its name, then user to steal; guest time is in user time
_TICK_NS = NS_PER_S // os.sysconf("SC_CLK_TCK")
_AT = {name: at for at, name in enumerate(COLUMNS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The totals of all VMs at `at_ns` (CLOCK_MONOTONIC): `numbers` has a row for each of COLUMNS, as VmSecond has.

    `stolen_ns` and `core_ns` are those of the host since its start; `cost_ns` is the CPU time of the reading.
    """

    at_ns: int
    numbers: NDArray[np.int64]
    stolen_ns: int
    core_ns: int
    cost_ns: int


class VmSampler:
    """Reads the places of VMs, from one thread at a time.

    >>> sampler = VmSampler(places)
    >>> before, after = sampler.read(), sampler.read()
    >>> second = between(before, after, origin_ns, window=0)
    """

    def __init__(self, places: Sequence[VmPlace | None], proc: Path = Path("/proc")) -> None:
        """The VMs at `places`; None for one about which nothing is known."""
        self._proc = proc
        self._places = [place or VmPlace() for place in places]
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        keep = len(places) * _FILES_PER_VM <= soft // _KEPT_SHARE
        shared = Counter(path for place in self._places if place.group for path in place.group.paths)
        self._groups = [
            OpenGroup(place.group, keep=keep) if place.group and _is_own(place.group, shared) else None
            for place in self._places
        ]
        roots = {
            pid: vm for vm, place in enumerate(self._places) if self._groups[vm] is None for pid in place.pids if pid
        }
        self._trees = Trees(roots, proc) if roots else None
        self._waiting = Waiting(len(places), proc)
        self._network = NetworkReader(proc)
        self._networked = [
            place.listening is None and any(map(self._network.is_own, place.pids)) for place in self._places
        ]
        self._pids: list[list[int]] = [[] for _ in places]

    def read(self) -> Sample:
        """All counters now.  It takes about 0.1 ms for each VM."""
        began_ns, at_ns = time.thread_time_ns(), time.monotonic_ns()
        numbers = np.full((len(COLUMNS), len(self._places)), UNKNOWN, dtype=np.int64)
        of_trees, cpu_ns = self._trees.read() if self._trees else ({}, {})
        drops = listen_drops() if any(place.listening for place in self._places) else None
        for vm, (place, group) in enumerate(zip(self._places, self._groups, strict=True)):
            if group is not None:
                self._read_group(numbers, vm, group)
                self._pids[vm] = [int(pid) for pid in _members(group).split()]
            else:
                self._pids[vm] = of_trees.get(vm, [])
                numbers[_AT["cpu_ns"], vm] = cpu_ns.get(vm, UNKNOWN)
            if self._networked[vm]:
                self._read_network(numbers, vm, place)
            elif place.listening is not None and drops is not None:
                numbers[_AT["listen_drops"], vm] = drops.get(place.listening, UNKNOWN)
        numbers[_AT["waited_ns"]] = self._waiting.read(self._pids)
        stolen_ns, core_ns = self._host()
        cost_ns = time.thread_time_ns() - began_ns
        return Sample(at_ns=at_ns, numbers=numbers, stolen_ns=stolen_ns, core_ns=core_ns, cost_ns=cost_ns)

    def read_pss(self, within_s: float) -> tuple[int, ...]:
        """The proportional set size of each VM's processes; UNKNOWN for those that are not reached `within_s`.

        It is dear: the kernel looks at each page, which takes about a millisecond for each process.
        """
        end_s = time.monotonic() + within_s
        return tuple(self._pss(pids) if time.monotonic() < end_s else UNKNOWN for pids in self._pids)

    def close(self) -> None:
        """Close all files; nothing can be read afterwards."""
        for group in self._groups:
            if group is not None:
                group.close()

    def _read_group(self, numbers: NDArray[np.int64], vm: int, group: OpenGroup) -> None:
        used = usage(group)
        row = {
            "cpu_ns": used.cpu_ns,
            "periods": used.periods,
            "throttled_periods": used.throttled,
            "throttled_ns": used.throttled_ns,
            "oom_kills": used.oom_kills,
            "pids_refused": used.pids_refused,
            "memory_bytes": used.memory_bytes,
            "pids": used.pids,
        }
        for name, value in row.items():
            if value is not None:
                numbers[_AT[name], vm] = value

    def _read_network(self, numbers: NDArray[np.int64], vm: int, place: VmPlace) -> None:
        pid = next((pid for pid in place.pids if pid in self._pids[vm]), None)
        found = self._network.read(pid) if pid is not None else None
        if found is not None:
            for name, value in zip(
                ("listen_overflows", "listen_drops", "segments_sent", "retransmits"), found, strict=True
            ):
                numbers[_AT[name], vm] = value

    def _pss(self, pids: Sequence[int]) -> int:
        total = 0
        for pid in pids:
            try:
                total += pss_bytes(self._proc / str(pid))
            except ProcessLookupError:  # it has ended since
                continue
            except (OSError, ValueError):  # this user may not see it
                return UNKNOWN
        return total if pids else UNKNOWN

    def _host(self) -> tuple[int, int]:
        """(stolen, all) CPU time of the host; UNKNOWN when it cannot be read."""
        name, *fields = read_small(f"{self._proc}/stat").partition("\n")[0].split()[:_STAT_FIELDS] or [""]
        if name != "cpu" or len(fields) < _STAT_FIELDS - 1 or not all(map(str.isdecimal, fields)):
            return UNKNOWN, UNKNOWN
        ticks_ns = [int(field) * _TICK_NS for field in fields]
        return ticks_ns[-1], sum(ticks_ns)


def between(before: Sample, after: Sample, origin_ns: int, window: int) -> VmSecond:
    """What was counted between two samples; UNKNOWN where one of them was not read, or a counter went back."""
    counted, levels = slice(0, len(COUNTED)), slice(len(COUNTED), None)
    numbers = after.numbers.copy()
    increase = after.numbers[counted] - before.numbers[counted]
    unknown = (after.numbers[counted] < 0) | (before.numbers[counted] < 0) | (increase < 0)
    numbers[counted] = np.where(unknown, UNKNOWN, increase)
    numbers[levels] = after.numbers[levels]
    knows_host = min(before.core_ns, after.core_ns) >= 0
    return VmSecond(
        begin_ns=max(0, before.at_ns - origin_ns),
        end_ns=max(1, after.at_ns - origin_ns),
        window=window,
        numbers=numbers,
        stolen_ns=max(0, after.stolen_ns - before.stolen_ns) if knows_host else UNKNOWN,
        core_ns=max(0, after.core_ns - before.core_ns) if knows_host else UNKNOWN,
        cost_ns=after.cost_ns,
    )


def _is_own(group: Group, shared: Counter[str]) -> bool:
    return bool(group.paths) and all(shared[path] == 1 for path in group.paths)


def _members(group: OpenGroup) -> str:
    for controller in ("pids", "memory", "cpu"):
        if text := group.read(controller, "cgroup.procs"):
            return text
    return ""
