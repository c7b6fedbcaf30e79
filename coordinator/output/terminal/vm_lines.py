"""The VMs of a run and their limits, as lines of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loadgen.model.emulated import EMULATED
from loadgen.model.units import format_size


def vm_lines(server: Mapping[str, Any]) -> Iterator[str]:
    """How a driver made the VMs, and the limits that the kernel granted; nothing where the driver says nothing of it.

    `server` is the part of a record's environment that the deployment wrote.
    """
    if "network" in server:
        yield f"driver {server.get('driver', '')}, {server['network']}"
    if server.get("emulated"):
        yield EMULATED
    if "machine" in server:
        yield f"{server['machine']}, {server.get('accelerator', '?')}"
    limits = server.get("limits")
    if isinstance(limits, Mapping):
        said = ", ".join(_limits(limits)) or "no limits"
        made = f"cgroup {limits['cgroup']}, " if "cgroup" in limits else ""
        yield f"each: {said}; {made}{server.get('scheduler', '?')}"


def _limits(limits: Mapping[str, Any]) -> Iterator[str]:
    if "cpus" in limits:
        yield f"{limits['cpus']:g} CPU"
    if "memory_bytes" in limits:
        yield f"{format_size(limits['memory_bytes'])} memory"
    if "pids" in limits:
        yield f"{limits['pids']} processes"
    if "disk_bytes_per_s" in limits:
        yield f"{format_size(limits['disk_bytes_per_s'])}/s disk"
