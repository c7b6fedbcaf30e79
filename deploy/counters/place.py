"""Where the kernel of this machine counts what one VM uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.limits.groups import Group
from deploy.limits.hierarchy import Controller, controllers_here


@dataclass(frozen=True, slots=True, kw_only=True)
class VmPlace:
    """The place of one VM.

    `pids`: its first processes, as this machine numbers them; those that they start are the VM's, too.  `group`: its
    cgroups, in which no other VM is.  `listening`: (address, port) of its listening socket in the network namespace of
    this machine; None when it listens in a namespace of its own.
    """

    pids: tuple[int, ...] = ()
    group: Group | None = None
    listening: tuple[str, int] | None = None


def place_of(
    pid: int, name: str, *, proc: Path = Path("/proc"), controllers: Mapping[str, Controller] | None = None
) -> VmPlace:
    """The place of a VM that another program has started, from its first process `pid` (of a container or a QEMU).

    Cgroups that this process is in, too, are left out: they count more than the VM.
    """
    found = controllers_here() if controllers is None else controllers
    own, theirs = (_groups(proc / one / "cgroup") for one in ("self", str(pid)))
    places, versions = {}, {}
    for one, controller in found.items():
        key = "" if controller.version == 2 else {"io": "blkio"}.get(one, one)
        path = theirs.get(key, "")
        if path.strip("/") and path != own.get(key):
            places[one] = controller.root / path.lstrip("/")
            versions[one] = controller.version
    group = Group(name=name, places=places, versions=versions) if places else None
    return VmPlace(pids=(pid,), group=group)


def _groups(file: Path) -> dict[str, str]:
    """The group of a process by the name of the controller, "" for version 2; {} when it has ended."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found
