"""Boxes in tests: the mark of tests that need root, and all that a run could leave behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deploy.limits.hierarchy import controllers_here

REASON = "" if os.geteuid() == 0 else "namespaces and cgroups need root"

needs_root = pytest.mark.skipif(bool(REASON) and os.environ.get("CI") != "true", reason=REASON or "boxes can be made")


def groups_of(owner: int) -> list[Path]:
    """Return the cgroups of all runs of the process `owner`, which may have ended."""
    roots = {found.root for found in controllers_here().values()}
    return sorted(group for root in roots for group in root.glob(f"loadgen/{owner}-*/*") if group.is_dir())


def members(groups: list[Path]) -> list[str]:
    """Return the processes in cgroups."""
    return [pid for group in groups for pid in (group / "cgroup.procs").read_text().split()]


def namespaces_of(pids: list[int]) -> set[str]:
    """Return the namespaces of these processes that this process is not in."""
    own = {path.readlink() for path in Path("/proc/self/ns").iterdir()}
    found = set()
    for pid in pids:
        try:
            found |= {path.readlink() for path in Path(f"/proc/{pid}/ns").iterdir()}
        except OSError:
            continue  # it has ended
    return {str(one) for one in found - own}


def all_pids() -> list[int]:
    """Return all processes of this machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def mounts_below(directory: Path) -> list[str]:
    """Return the mounts of this process's mount namespace that have to do with a directory."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]


def devices_with(address: str) -> list[str]:
    """Return the network devices of this namespace that have an address."""
    said = subprocess.run(["/sbin/ip", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    return [line.split()[1] for line in said.splitlines() if f" {address}/" in line]
