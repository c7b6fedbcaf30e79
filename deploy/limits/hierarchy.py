"""The cgroup controllers of this machine: which file system has each, and in which version of cgroups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "io")
_V1_NAMES = {"io": "blkio"}


def v1_name(controller: str) -> str:
    """The name of a controller in version 1 of cgroups."""
    return _V1_NAMES.get(controller, controller)


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller at the mount point `root` of its hierarchy, in version 1 or 2 of cgroups."""

    version: int
    root: Path


def find_controllers(mountinfo: str, v2_controllers: str = "") -> Mapping[str, Controller]:
    """The controllers among cpu, cpuacct, memory, pids and io (blkio in version 1) that this machine has.

    `mountinfo` is the text of /proc/self/mountinfo, and `v2_controllers` that of `cgroup.controllers` at the mount
    point of version 2.  A controller belongs to one version at a time; a machine may have some in each.
    """
    found: dict[str, Controller] = {}
    for line in mountinfo.splitlines():
        mounted, _, kind = line.partition(" - ")
        place, fields = _unescaped(mounted.split()[4]), kind.split()
        if fields[0] == "cgroup2":
            names = v2_controllers.split()
            found |= {name: Controller(2, Path(place)) for name in _CONTROLLERS if name in names}
        elif fields[0] == "cgroup":
            names = fields[-1].split(",")
            found |= {c: Controller(1, Path(place)) for c in _CONTROLLERS if v1_name(c) in names}
    return found


def controllers_here() -> Mapping[str, Controller]:
    """The controllers of this machine; see :func:`find_controllers`."""
    mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    places = [line.split()[4] for line in mountinfo.splitlines() if " - cgroup2 " in line]
    v2_controllers = ""
    for place in places:
        v2_controllers = (Path(_unescaped(place)) / "cgroup.controllers").read_text()
    return find_controllers(mountinfo, v2_controllers)


def mounts_here() -> list[Controller]:
    """All hierarchies of this machine, also those without these controllers: a container may have groups there."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        kind = line.partition(" - ")[2].split()[0]
        if kind in ("cgroup", "cgroup2"):
            found.append(Controller(2 if kind == "cgroup2" else 1, Path(_unescaped(line.split()[4]))))
    return found


def _unescaped(text: str) -> str:
    """A path of mountinfo, in which blanks and backslashes are octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
