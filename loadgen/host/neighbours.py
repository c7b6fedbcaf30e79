"""CPU that other processes and the hypervisor use on the cores where the engines may run.

An engine that shares its cores may still send in time, but it then measures a race for the core instead of the servers.
The figures are lower bounds, so that a quiet machine is never accused: a process that ended between two samples is not
counted, and neither are the processes of the run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from loadgen.measure.wire import printable

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_KTHREADD = 2  # the parent of all kernel threads, which also work for the run itself
_STEAL = 8  # column of /proc/stat, where column 0 is the name


@dataclass(frozen=True, slots=True)
class Process:
    """A process at one moment: CPU time so far, parent process, and the core that it last ran on."""

    name: str
    parent: int
    cpu_ns: int
    core: int


@dataclass(frozen=True, slots=True)
class Sample:
    """All processes by pid at one moment, and the time that the hypervisor took from each core so far."""

    processes: dict[int, Process]
    stolen_ns: dict[int, int]


@dataclass(frozen=True, slots=True)
class OtherUse:
    """CPU time `used_ns` of others on `cores` cores during `wall_ns`; `most` names the process that used the most."""

    used_ns: int
    wall_ns: int
    cores: int
    most: str

    @property
    def share(self) -> float:
        """The share of the cores' time that others used, 0..1; 0.0 without time or cores."""
        return self.used_ns / (self.wall_ns * self.cores) if self.wall_ns and self.cores else 0.0


def parse_stat(text: str) -> Process:
    """The process in the text of /proc/PID/stat (proc(5)).  Raises ValueError or IndexError if it is malformed."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    cpu_ns = (int(fields[11]) + int(fields[12])) * _TICK_NS
    return Process(printable(head.partition("(")[2]), int(fields[1]), cpu_ns, int(fields[36]))


def take_sample(proc: Path = Path("/proc")) -> Sample:
    """Sample all processes; takes some milliseconds."""
    processes = {}
    for entry in os.scandir(proc):
        if entry.name.isdigit():
            try:
                processes[int(entry.name)] = parse_stat((proc / entry.name / "stat").read_text(errors="replace"))
            except (OSError, ValueError, IndexError):
                continue  # the process has ended
    stolen = {}
    for line in (proc / "stat").read_text().splitlines():
        fields = line.split()
        if fields and fields[0].startswith("cpu") and fields[0] != "cpu" and len(fields) > _STEAL:
            stolen[int(fields[0][3:])] = int(fields[_STEAL]) * _TICK_NS
    return Sample(processes, stolen)


def others(before: Sample, after: Sample, *, ours: Iterable[int], cores: Set[int], wall_ns: int) -> OtherUse:
    """CPU used on `cores` between two samples by the hypervisor and by processes that do not descend from `ours`."""
    mine = _descendants(after, ours) | _descendants(before, ours)
    used_ns, most, most_ns = 0, "none", 0
    for pid, process in after.processes.items():
        if pid in mine or process.core not in cores or _KTHREADD in (pid, process.parent):
            continue
        earlier = before.processes.get(pid)
        spent_ns = process.cpu_ns - (earlier.cpu_ns if earlier and earlier.name == process.name else 0)
        used_ns += max(0, spent_ns)
        if spent_ns > most_ns:
            most, most_ns = f"{process.name} (pid {pid})", spent_ns
    stolen_ns = sum(after.stolen_ns.get(core, 0) - before.stolen_ns.get(core, 0) for core in cores)
    if stolen_ns > most_ns:
        most = "the hypervisor"
    return OtherUse(used_ns + max(0, stolen_ns), wall_ns, len(cores), most)


def _descendants(sample: Sample, roots: Iterable[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, process in sample.processes.items():
        children.setdefault(process.parent, []).append(pid)
    found, todo = set(), list(roots)
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children.get(pid, [])
    return found


def is_runnable(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process runs or waits for a core, so that it is not frozen even if it sends nothing."""
    try:
        return (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "R"
    except (OSError, IndexError):
        return False


class QuietWatch:
    """Measures per segment how much of the engines' cores processes use that do not descend from `ours`."""

    def __init__(self, ours: Callable[[], Iterable[int]]) -> None:
        self._ours = ours
        self._pids: tuple[int, ...] = ()
        self._begun: tuple[int, Sample] | None = None

    def begin(self, pids: Sequence[int]) -> None:
        """Begin a segment, on the cores that the processes `pids` may use."""
        self._pids = tuple(pids)
        self._begun = (time.monotonic_ns(), take_sample())

    def end(self) -> OtherUse | None:
        """End the segment: the use by others; None if no segment had begun."""
        if self._begun is None:
            return None
        (began_ns, before), self._begun = self._begun, None
        cores: set[int] = set()
        for pid in self._pids:
            try:
                cores |= os.sched_getaffinity(pid)
            except ProcessLookupError:
                continue  # a lost engine has no cores
        wall_ns = time.monotonic_ns() - began_ns
        return others(before, take_sample(), ours=self._ours(), cores=cores, wall_ns=wall_ns)
