"""The directories of this process's control groups, in cgroups v1, v2 and hybrid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def group_directories(controller: str, proc: Path = Path("/proc")) -> list[Path]:
    """The directories of the groups that this process is in and that may limit what `controller` controls.

    Those of a hierarchy come from its root down to the group of this process.  Raises OSError or ValueError when the
    kernel does not report control groups.
    """
    mounts = list(_mounts(controller, (proc / "self" / "mountinfo").read_text()))
    groups = dict(_groups(controller, (proc / "self" / "cgroup").read_text()))
    return [found for hierarchy, root, mount in mounts for found in _directories(groups.get(hierarchy), root, mount)]


def _mounts(controller: str, mountinfo: str) -> Iterator[tuple[str, PurePosixPath, Path]]:
    """(hierarchy, root inside it, mount point) of each mounted hierarchy: that of the controller in v1, "" of v2."""
    for line in mountinfo.splitlines():
        front, _, back = line.partition(" - ")
        fields, kind = front.split(), back.split()
        if kind[0] == "cgroup2":
            yield "", PurePosixPath(fields[3]), Path(fields[4])
        elif kind[0] == "cgroup" and controller in kind[2].split(","):
            yield controller, PurePosixPath(fields[3]), Path(fields[4])


def _groups(controller: str, cgroup: str) -> Iterator[tuple[str, PurePosixPath]]:
    """(hierarchy, group) in the text of /proc/self/cgroup, for the hierarchies of `_mounts`."""
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            yield (controller if controllers else ""), PurePosixPath(path)


def _directories(group: PurePosixPath | None, root: PurePosixPath, mount: Path) -> Iterator[Path]:
    """The directories of a group and its parents, below the mount point of a hierarchy that shows `root`."""
    if group is None:
        return
    # In a container the mount may show a part of the hierarchy, or the path may be relative to another root.
    below = group.relative_to(root) if group.is_relative_to(root) else PurePosixPath()
    yield mount
    for depth in range(1, len(below.parts) + 1):
        part = PurePosixPath(*below.parts[:depth])
        if part.is_absolute():
            part = part.relative_to("/")
        yield mount / part
