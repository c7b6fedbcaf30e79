"""The facts that a machine reports when it joins: its capacity, and the versions that must match."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import loadgen
from loadgen.host.sysctls import read_sysctls
from loadgen.model.errors import FleetError

_UNLIMITED = 1 << 30


def versions() -> dict[str, str]:
    """Return the versions that a coordinator and its agents tell each other."""
    try:
        engine = version("distributed")
    except PackageNotFoundError:
        engine = "none"
    return {"loadgen": loadgen.__version__, "python": platform.python_version(), "distributed": engine}


def compare_versions(own: Mapping[str, str], asked: Mapping[str, str]) -> None:
    """Raises FleetError, naming both, when a version of a machine (`own`) is not that of the coordinator (`asked`).

    Python may differ: only plain data and names of functions cross between them.
    """
    for name in ("loadgen", "distributed"):
        mine, theirs = own.get(name, "none"), asked.get(name, "none")
        if mine != theirs:
            raise FleetError(
                f"it has {name} {mine}, the coordinator has {theirs}",
                hint="install the same version on both",
            )


def describe() -> dict[str, Any]:
    """The machine, as plain data: cores that we may use, files that each engine may open, and so on."""
    _, open_files = resource.getrlimit(resource.RLIMIT_NOFILE)  # engines raise theirs to the hard limit
    return {
        "cores": usable_cores(),
        "open_files": _UNLIMITED if open_files == resource.RLIM_INFINITY else open_files,
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        **versions(),
        "sysctls": read_sysctls(),
        "pid": os.getpid(),
    }


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def processes_with(mark: str, proc: Path = Path("/proc")) -> Iterable[int]:
    """Yield the pids of all processes with the argument `mark` in their command line."""
    for entry in os.scandir(proc):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # the process has ended
                if mark.encode() in (proc / entry.name / "cmdline").read_bytes().split(b"\0"):
                    yield int(entry.name)


class CpuMeter:
    """Measures how busy the machine is."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._stat = proc / "stat"
        self._before: tuple[int, int] | None = None

    def read(self) -> float | None:
        """Return the share of all cores' time that was used since the last call; None if it is unknown."""
        before, self._before = self._before, None
        with contextlib.suppress(OSError, ValueError, IndexError):
            self._before = busy_and_all(self._stat.read_text())
        if before is None or self._before is None or self._before[1] <= before[1]:
            return None
        return max(0.0, (self._before[0] - before[0]) / (self._before[1] - before[1]))


def busy_and_all(stat: str) -> tuple[int, int]:
    """Return (used ticks, all ticks) of all cores from the text of /proc/stat.

    Raises ValueError or IndexError if the text is malformed.
    """
    fields = [int(field) for field in stat.partition("\n")[0].split()[1:9]]  # user time includes guest time
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)
