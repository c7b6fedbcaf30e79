"""What this machine has room for: memory, disk space, and the limits on tasks and descriptors."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from loadgen.host.groups import group_directories
from loadgen.measure.packing import UNKNOWN, Limit, Room

TASKS, FILES = "tasks", "open files"

_NO_LIMIT = 1 << 60  # files of cgroup v1 hold a number near 2**63 when there is no limit
_STAT_THREADS = 17  # num_threads of /proc/PID/stat, counted from the state


def read_room(directory: Path, proc: Path = Path("/proc")) -> Room:
    """The room of this machine now; `directory` is where the files of VMs go.  Takes some milliseconds."""
    free = os.statvfs(directory)
    memory_bytes = read_meminfo(proc)["MemAvailable"]
    for left in _group_memory_left(proc):
        memory_bytes = min(memory_bytes, left)
    limits = (*_task_limits(proc), *_file_limits(proc))
    return Room(memory_bytes=memory_bytes, disk_bytes=free.f_bavail * free.f_frsize, limits=limits)


def read_meminfo(proc: Path = Path("/proc")) -> dict[str, int]:
    """The numbers of /proc/meminfo in bytes, by name."""
    found = {}
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        number, _, unit = rest.strip().partition(" ")
        found[name] = int(number) * (1024 if unit == "kB" else 1)
    return found


def group_memory_bytes(proc: Path = Path("/proc")) -> int:
    """The memory of this process's own control group, with that of all groups in it; UNKNOWN when it is not told."""
    for directory in reversed(_groups("memory", proc)):
        for name in ("memory.current", "memory.usage_in_bytes"):
            if (used := _number(directory / name)) is not None:
                return used
    return UNKNOWN


def guarantees_memory(proc: Path = Path("/proc")) -> bool:
    """Whether the kernel can protect memory of a control group (`memory.min`, cgroup v2 only)."""
    return any((directory / "memory.min").exists() for directory in _groups("memory", proc))


def _group_memory_left(proc: Path) -> Iterator[int]:
    """What each memory limit of a control group leaves."""
    for directory in _groups("memory", proc):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _number(directory / limit_name), _number(directory / used_name)
            if limit is not None and used is not None and limit < _NO_LIMIT:
                yield max(0, limit - used + _reclaimable(directory))


def _reclaimable(directory: Path) -> int:
    """Page cache that the kernel takes back before the limit is reached."""
    with contextlib.suppress(OSError, ValueError):
        stat = dict(line.split() for line in (directory / "memory.stat").read_text().splitlines())
        return int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
    return 0


def _task_limits(proc: Path) -> Iterator[Limit]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        used = int((proc / "loadavg").read_text().split()[3].partition("/")[2])
        for name in ("pid_max", "threads-max"):
            if (limit := _number(proc / "sys" / "kernel" / name)) is not None:
                yield Limit(name=f"kernel.{name}", unit=TASKS, used=used, limit=limit)
    for directory in _groups("pids", proc):
        limit, current = _number(directory / "pids.max"), _number(directory / "pids.current")
        if limit is not None and current is not None:
            hits = _hits(directory / "pids.events")
            yield Limit(name=f"{directory}/pids.max", unit=TASKS, used=current, limit=limit, hits=hits)
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if os.getuid() != 0 and limit != resource.RLIM_INFINITY:  # the kernel exempts root
        used = _tasks_of(os.getuid(), proc)
        yield Limit(name="RLIMIT_NPROC (ulimit -u)", unit=TASKS, used=used, limit=limit)


def _file_limits(proc: Path) -> Iterator[Limit]:
    with contextlib.suppress(OSError):
        used, limit = len(list((proc / "self" / "fd").iterdir())), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        # The final sweep has one connection to each VM.
        yield Limit(name="RLIMIT_NOFILE (ulimit -Hn)", unit=FILES, used=used, limit=limit, needed=1)
    with contextlib.suppress(OSError, ValueError, IndexError):
        used_files, _, most = map(int, (proc / "sys" / "fs" / "file-nr").read_text().split())
        if most < _NO_LIMIT:
            yield Limit(name="fs.file-max", unit=FILES, used=used_files, limit=most)


def _tasks_of(uid: int, proc: Path) -> int:
    """The tasks of all processes of a user."""
    total = 0
    for entry in proc.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):  # the process has ended
                if entry.stat().st_uid == uid:
                    total += int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[_STAT_THREADS])
    return total


def _groups(controller: str, proc: Path) -> list[Path]:
    try:
        return group_directories(controller, proc)
    except (OSError, ValueError):
        return []


def _hits(path: Path) -> int:
    """How often the kernel refused a task because of a group's pids.max; UNKNOWN when it does not count."""
    with contextlib.suppress(OSError, ValueError):
        return int(dict(line.split() for line in path.read_text().splitlines()).get("max", UNKNOWN))
    return UNKNOWN


def _number(path: Path) -> int | None:
    """The number in a file; None when there is no such file, or it says `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
