"""A cgroup for each VM: made, limited, read and removed.

The groups of a run are at `loadgen/RUN/VM` below the mount point of each hierarchy, as those of other container engines
are, so that a later run finds what a killed one has left.  RUN names the process that owns the groups.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from deploy.limits.hierarchy import Controller, controllers_here
from deploy.limits.removal import check_removed, remove_groups
from deploy.proc import start_ticks
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.limits import VmLimits
from loadgen.model.units import counted, format_size

PARENT = "loadgen"
"""The directory of all runs below the mount point of a hierarchy."""

_PERIOD_US = 100_000
_NEEDED = {"cpus": "cpu", "cpu_shares": "cpu", "memory_bytes": "memory", "pids": "pids", "disk_bytes_per_s": "io"}
_DEFAULT_SHARES = 1024
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The cgroups of one VM: a directory for each controller; several controllers may share one."""

    name: str
    places: Mapping[str, Path]
    versions: Mapping[str, int]

    @property
    def paths(self) -> tuple[str, ...]:
        """The directories, each once: a process joins all of them, and all are removed."""
        return tuple(dict.fromkeys(str(place) for place in self.places.values()))

    def read(self, controller: str, name: str) -> str:
        """The text of one file; "" when there is no such file."""
        try:
            return (self.places[controller] / name).read_text().strip()
        except (KeyError, OSError):
            return ""

    def is_v1(self, controller: str) -> bool:
        """Whether a controller belongs to version 1 of cgroups."""
        return self.versions.get(controller) == 1


class Groups:
    """The cgroups of one run.

    >>> groups = Groups(limits, disk=Path("/tmp"))  # raises PlanError when this machine cannot set these limits
    >>> group = groups.make("vm01")
    >>> granted(group)
    {'cgroup': 'v1', 'cpus': 0.5, ...}
    >>> groups.remove()
    """

    def __init__(
        self,
        limits: VmLimits,
        *,
        disk: Path,
        reserve_memory_bytes: int = 0,
        controllers: Mapping[str, Controller] | None = None,
    ) -> None:
        """Groups with these limits; nothing is made yet.  `disk` is a directory on the disk whose rate is limited.

        The kernel is asked to protect `reserve_memory_bytes` of the memory of each group, where it can: by `memory.min`
        of version 2.
        """
        self._controllers = controllers_here() if controllers is None else controllers
        self._limits = limits
        self._reserve_bytes = reserve_memory_bytes
        for name in limits.given:
            if _NEEDED[name] not in self._controllers:
                raise PlanError(
                    f"{name} of VMs cannot be limited here: there is no cgroup controller {_NEEDED[name]}",
                    hint="mount the cgroup controllers, or leave out this limit",
                )
        self._device = block_device(disk) if limits.disk_bytes_per_s is not None else ""
        self._run = new_run()
        self._made: list[str] = []

    def make(self, name: str) -> Group:
        """A group for the VM `name` with the limits; one without directories if none can be made and no limit is set.

        Raises TargetError when the kernel refuses a limit.
        """
        places = {one: found.root / PARENT / self._run / name for one, found in self._controllers.items()}
        group = Group(
            name=name, places=places, versions={one: found.version for one, found in self._controllers.items()}
        )
        try:
            for controller, found in self._controllers.items():
                place = places[controller]
                self._made.append(str(place))
                self._make(found, place)
            for path, text in _settings(self._limits, group, self._device):
                path.write_text(text)
            self._protect(group)
        except OSError as error:
            if not self._limits.given:  # in a container, for example: the VMs run without groups of their own
                self._controllers = {}
                return Group(name=name, places={}, versions={})
            raise TargetError(
                f"{name}: the kernel refuses a limit or a cgroup: {error.strerror} ({error.filename})",
                hint="run as root on the host, or leave out the limits of VMs",
            ) from error
        return group

    def remove(self) -> None:
        """Remove the groups.  Further calls do nothing.  Raises TargetError when some of them stay."""
        made = dict.fromkeys(self._made)
        self._made.clear()
        check_removed(remove_groups(made))

    def _protect(self, group: Group) -> None:
        """Protect memory of a group; the groups around it must protect as much, or it has no effect."""
        place = group.places.get("memory")
        if not self._reserve_bytes or place is None or not (place / "memory.min").exists():
            return
        for around in (place.parent.parent, place.parent):
            (around / "memory.min").write_text("max")
        (place / "memory.min").write_text(str(self._reserve_bytes))

    def _make(self, found: Controller, place: Path) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                if found.version == 2:
                    self._delegate(found.root, place)
                place.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError:  # a run that ends has just removed the directory of all runs
                if attempt + 1 == _ATTEMPTS:
                    raise
            else:
                return

    def _delegate(self, root: Path, place: Path) -> None:
        """Let the directories between the root and the group hand on the controllers of version 2."""
        names = [f"+{name}" for name, found in self._controllers.items() if found == Controller(2, root)]
        for directory in (root, root / PARENT, place.parent):
            directory.mkdir(exist_ok=True)
            (directory / "cgroup.subtree_control").write_text(" ".join(names))


def new_run() -> str:
    """The name of a directory for the groups of a run of this process."""
    return f"{os.getpid()}-{start_ticks(os.getpid())}-{secrets.token_hex(2)}"


def granted(group: Group) -> dict[str, Any]:
    """The limits that the kernel holds for a group, read back from it; without those that it does not limit."""
    versions = {f"v{version}" for version in group.versions.values()}
    found: dict[str, Any] = {"cgroup": "hybrid" if len(versions) > 1 else "".join(versions) or "none"}
    if group.is_v1("cpu"):
        quota, period = group.read("cpu", "cpu.cfs_quota_us"), group.read("cpu", "cpu.cfs_period_us")
        found["cpu_shares"] = _number(group.read("cpu", "cpu.shares"))
    else:
        quota, _, period = group.read("cpu", "cpu.max").partition(" ")
        found["cpu_weight"] = _number(group.read("cpu", "cpu.weight"))
    if (quota_us := _number(quota)) is not None and (period_us := _number(period)):
        found["cpus"] = quota_us / period_us
    memory = "memory.limit_in_bytes" if group.is_v1("memory") else "memory.max"
    found["memory_bytes"] = _number(group.read("memory", memory), below=1 << 62)
    found["protected_memory_bytes"] = _number(group.read("memory", "memory.min")) or None
    found["pids"] = _number(group.read("pids", "pids.max"))
    found |= _granted_rates(group)
    return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The kernel's counters of a group; None where it does not count.

    `throttled` of the `periods` of the CPU quota ended early.
    """

    cpu_ns: int | None
    periods: int | None
    throttled: int | None
    throttled_ns: int | None
    memory_bytes: int | None
    oom_kills: int | None
    pids: int | None
    pids_refused: int | None


class Readable(Protocol):
    """A group as :func:`usage` reads it."""

    def read(self, controller: str, name: str) -> str:
        """The text of one file; "" when there is no such file."""

    def is_v1(self, controller: str) -> bool:
        """Whether a controller belongs to version 1 of cgroups."""


def usage(group: Readable) -> Usage:
    """What the processes of a group have used until now."""
    cpu = _table(group.read("cpu", "cpu.stat"))
    v1 = group.is_v1("cpu")
    cpu_ns = _number(group.read("cpuacct", "cpuacct.usage")) if v1 else _times(cpu.get("usage_usec"), 1000)
    events = _table(group.read("memory", "memory.oom_control" if group.is_v1("memory") else "memory.events"))
    memory = "memory.usage_in_bytes" if group.is_v1("memory") else "memory.current"
    return Usage(
        cpu_ns=cpu_ns,
        periods=cpu.get("nr_periods"),
        throttled=cpu.get("nr_throttled"),
        throttled_ns=cpu.get("throttled_time") if v1 else _times(cpu.get("throttled_usec"), 1000),
        memory_bytes=_number(group.read("memory", memory)),
        oom_kills=events.get("oom_kill"),
        pids=_number(group.read("pids", "pids.current")),
        pids_refused=_table(group.read("pids", "pids.events")).get("max"),
    )


def limits_met(group: Group) -> list[str]:
    """The limits at which the kernel refused something to processes of a group, each as a phrase."""
    counters, limits, met = usage(group), granted(group), []
    if counters.oom_kills:
        size = f" of {format_size(limits['memory_bytes'])}" if "memory_bytes" in limits else ""
        met.append(f"its memory limit{size} was reached ({counted(counters.oom_kills, 'kill')})")
    if counters.pids_refused:
        most = f" ({limits['pids']})" if "pids" in limits else ""
        met.append(f"its limit of processes{most} was reached ({counted(counters.pids_refused, 'fork')} refused)")
    return met


def remove_leftovers(controllers: Mapping[str, Controller] | None = None) -> list[str]:
    """Remove the groups of runs whose process has ended; returns their paths.

    Groups with processes stay: the kernel does not remove them.
    """
    roots = {found.root for found in (controllers_here() if controllers is None else controllers).values()}
    runs = [run for root in roots for run in _subdirectories(root / PARENT) if _is_orphan(run.name)]
    left = [str(group) for run in runs for group in _subdirectories(run)]
    for run in runs:
        for group, _, _ in os.walk(run, topdown=False):  # VMs may have groups of their own inside
            with contextlib.suppress(OSError):
                Path(group).rmdir()
        with contextlib.suppress(OSError):
            run.parent.rmdir()
    return left


def block_device(directory: Path) -> str:
    """The number of the whole disk that a directory is on, as MAJOR:MINOR.  Raises PlanError when it is on none."""
    number = directory.stat().st_dev
    device = Path("/sys/dev/block") / f"{os.major(number)}:{os.minor(number)}"
    if not device.exists():
        raise PlanError(
            f"the disk rate of VMs cannot be limited: {directory} is not on a disk",
            hint="set TMPDIR to a directory on a disk, or leave out --vm-disk-rate",
        )
    whole = device.resolve().parent if (device / "partition").exists() else device
    return (whole / "dev").read_text().strip()


def device_node(directory: Path) -> str:
    """The device node of the whole disk that a directory is on.  Raises PlanError when there is none."""
    facts = (Path("/sys/dev/block") / block_device(directory) / "uevent").read_text()
    name = next((line.partition("=")[2] for line in facts.splitlines() if line.startswith("DEVNAME=")), "")
    if not name or not (Path("/dev") / name).exists():
        raise PlanError(
            f"the disk rate of VMs cannot be limited: the disk of {directory} has no device node in /dev",
            hint="leave out --vm-disk-rate",
        )
    return f"/dev/{name}"


def _settings(limits: VmLimits, group: Group, device: str) -> Iterator[tuple[Path, str]]:
    """The files to write, with their texts, in this order."""
    if limits.cpus is not None:
        quota_us = round(limits.cpus * _PERIOD_US)
        if group.is_v1("cpu"):
            yield group.places["cpu"] / "cpu.cfs_period_us", str(_PERIOD_US)
            yield group.places["cpu"] / "cpu.cfs_quota_us", str(quota_us)
        else:
            yield group.places["cpu"] / "cpu.max", f"{quota_us} {_PERIOD_US}"
    if limits.cpu_shares is not None:
        if group.is_v1("cpu"):
            yield group.places["cpu"] / "cpu.shares", str(limits.cpu_shares)
        else:
            weight = min(10_000, max(1, round(100 * limits.cpu_shares / _DEFAULT_SHARES)))
            yield group.places["cpu"] / "cpu.weight", str(weight)
    if limits.memory_bytes is not None:
        memory, v1 = group.places["memory"], group.is_v1("memory")
        yield memory / ("memory.limit_in_bytes" if v1 else "memory.max"), str(limits.memory_bytes)
        swap = memory / ("memory.memsw.limit_in_bytes" if v1 else "memory.swap.max")
        if swap.exists():  # not where the kernel does not account for swap
            yield swap, str(limits.memory_bytes if v1 else 0)
    if limits.pids is not None:
        yield group.places["pids"] / "pids.max", str(limits.pids)
    if limits.disk_bytes_per_s is not None:
        rate = limits.disk_bytes_per_s
        if group.is_v1("io"):
            for way in ("read", "write"):
                yield group.places["io"] / f"blkio.throttle.{way}_bps_device", f"{device} {rate}"
        else:
            yield group.places["io"] / "io.max", f"{device} rbps={rate} wbps={rate}"


def _granted_rates(group: Group) -> dict[str, Any]:
    if group.is_v1("io"):
        rate = group.read("io", "blkio.throttle.write_bps_device").partition(" ")[2]
        note = {"disk_rate_applies_to": "reads, direct and synchronous writes"}  # version 1 does not know who wrote
    else:
        rate = group.read("io", "io.max").partition("wbps=")[2].partition(" ")[0]
        note = {}
    found = _number(rate)
    return {} if found is None else {"disk_bytes_per_s": found, **note}


def _table(text: str) -> dict[str, int]:
    """The numbers of lines like `nr_periods 5`."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _number(text: str, below: int | None = None) -> int | None:
    """A positive number; None for `max`, -1, an empty text, and a number that means "no limit"."""
    number = int(text) if text.isdecimal() else None
    return None if number is not None and below is not None and number >= below else number


def _times(number: int | None, factor: int) -> int | None:
    return None if number is None else number * factor


def _subdirectories(directory: Path) -> Iterable[Path]:
    try:
        return [path for path in directory.iterdir() if path.is_dir()]
    except OSError:
        return []


def _is_orphan(run: str) -> bool:
    pid, _, ticks = run.rpartition("-")[0].partition("-")
    return pid.isdecimal() and ticks.isdecimal() and start_ticks(int(pid)) != int(ticks)
