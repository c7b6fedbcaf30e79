"""The cgroups of containers: found through the container's own words, and removed where the engine is ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deploy.limits.groups import PARENT, Group, granted, remove_leftovers
from deploy.limits.hierarchy import Controller, controllers_here, mounts_here, v1_name
from deploy.limits.removal import remove_groups
from loadgen.model.errors import TargetError
from loadgen.model.limits import VmLimits

_SCOPE = ".scope/container"  # crun with systemd puts a container into a group below the one with the limits


def group_of(name: str, said: str, controllers: Mapping[str, Controller] | None = None) -> Group:
    """The cgroups of a VM whose first process reads `said` in /proc/self/cgroup; without those not seen here."""
    places, versions = {}, {}
    by_controller = _paths(said)
    for one, found in (controllers_here() if controllers is None else controllers).items():
        path = by_controller.get("" if found.version == 2 else v1_name(one))
        if path is None:
            continue
        place = found.root / path.removesuffix("/container" if path.endswith(_SCOPE) else "").lstrip("/")
        if place.is_dir() and place != found.root:
            places[one], versions[one] = place, found.version
    return Group(name=name, places=places, versions=versions)


def check_granted(group: Group, asked: VmLimits) -> None:
    """Raise TargetError if the kernel does not hold a limit that was asked for."""
    found = granted(group)
    for name in asked.given:
        names = (name, "cpu_weight") if name == "cpu_shares" else (name,)
        if not any(one in found for one in names):
            raise TargetError(
                f"{group.name}: the container engine has not set the limit {name}", hint="leave out this limit"
            )


def remove_run(run: str) -> list[str]:
    """Remove the cgroups that an engine of ours has made for the containers of a run; returns those that stay."""
    runs = [found.root / PARENT / run for found in mounts_here()]
    below = [Path(path) for one in runs for path, _, _ in os.walk(one)]
    return remove_groups(str(path) for path in sorted(below, reverse=True) if path not in runs)


def sweep() -> None:
    """Remove the cgroups of runs that were killed."""
    remove_leftovers({str(found.root): found for found in mounts_here()})


def _paths(said: str) -> dict[str, str]:
    """The path in each hierarchy by the name of a controller; "" names the hierarchy of version 2."""
    found: dict[str, str] = {}
    for line in said.splitlines():
        _, names, path = line.split(":", 2)
        found |= dict.fromkeys(names.split(","), path)
    return found
