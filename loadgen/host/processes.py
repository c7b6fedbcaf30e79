"""Samples of what runs on this machine: CPU time by process, by thread and by core."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from loadgen.measure.wire import printable

_STAT_BYTES = 4096
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_USER, _NICE, _SYSTEM, _SOFTIRQ, _STEAL = 1, 2, 3, 7, 8  # columns of /proc/stat, where column 0 is the name


@dataclass(frozen=True, slots=True)
class Process:
    """A process or thread at one moment: parent, CPU time so far, and the core that it last ran on.

    `reaped_ns` is the CPU time of its children that have ended.
    """

    name: str
    parent: int
    cpu_ns: int
    core: int
    reaped_ns: int = 0


@dataclass(frozen=True, slots=True)
class Core:
    """CPU time of one core so far: used by processes, and taken by the hypervisor.

    `used_ns` does not include interrupts, because they work for the run itself.  `softirq_ns` is the time of software
    interrupts.
    """

    used_ns: int
    stolen_ns: int
    softirq_ns: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """All processes by pid and all cores at `at_ns`, and the threads of some processes by pid and thread."""

    at_ns: int
    processes: dict[int, Process]
    cores: dict[int, Core]
    threads: dict[int, dict[int, Process]] = field(default_factory=dict)


def parse_stat(text: str) -> Process:
    """The process in the text of /proc/PID/stat (proc(5)).  Raises ValueError or IndexError if it is malformed."""
    head, _, tail = text.rpartition(")")
    fields = tail.split(None, 37)
    cpu_ns = (int(fields[11]) + int(fields[12])) * _TICK_NS
    reaped_ns = (int(fields[13]) + int(fields[14])) * _TICK_NS
    return Process(printable(head.partition("(")[2]), int(fields[1]), cpu_ns, int(fields[36]), reaped_ns)


def parse_cores(text: str) -> dict[int, Core]:
    """The cores in the text of /proc/stat."""
    cores = {}
    for line in text.splitlines():
        fields = line.split()
        if fields and fields[0].startswith("cpu") and fields[0] != "cpu" and len(fields) > _STEAL:
            used = sum(int(fields[at]) for at in (_USER, _NICE, _SYSTEM))
            stolen, softirq = (int(fields[at]) * _TICK_NS for at in (_STEAL, _SOFTIRQ))
            cores[int(fields[0][3:])] = Core(used * _TICK_NS, stolen, softirq)
    return cores


def take_sample(with_threads: Iterable[int] = (), proc: Path = Path("/proc")) -> Sample:
    """Sample all processes, and the threads of `with_threads`; takes some milliseconds."""
    at_ns = time.monotonic_ns()
    cores = parse_cores((proc / "stat").read_text())
    threads = {pid: _read_all(proc / str(pid) / "task") for pid in with_threads}
    return Sample(at_ns, _read_all(proc), cores, threads)


def _read_all(directory: Path) -> dict[int, Process]:
    """The processes or threads with an entry in `directory`."""
    found = {}
    with contextlib.suppress(OSError):  # the process has ended
        for name in os.listdir(directory):  # noqa: PTH208 - see _read
            if name.isdigit():
                try:
                    found[int(name)] = parse_stat(_read(f"{directory}/{name}/stat"))
                except (OSError, ValueError, IndexError):  # it has ended since
                    continue
    return found


def _read(path: str) -> str:
    """The text of a small file.  Raises OSError.  (pathlib takes twice as long; there may be thousands of files.)"""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, _STAT_BYTES).decode(errors="replace")
    finally:
        os.close(file)


def descendants(sample: Sample, roots: Iterable[int]) -> set[int]:
    """The pids of `roots` and of all processes below them."""
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
