"""Builds a box around its first process: cgroups, namespaces, network, file system.

The process is a fork of the warden, whose modules are loaded already; afterwards it becomes the first program of the
box.  Its mounts:

    /            overlay: the box's own upper layer over the base
    /tmp         a directory of the box on the disk
    /proc /sys   of the box's own namespaces
    /dev         a few devices and /dev/shm, in memory
    ...          the paths of the host that the box may see
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from deploy.box.box import Box
from deploy.box.namespaces import (
    MS_BIND,
    MS_MOVE,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWUTS,
    join_groups,
    mount,
    unshare,
)
from deploy.box.network import connect, listen, loopback_up

_MEMORY_DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
"""Minor numbers of major number 1, see mem(4) and random(4)."""

_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}


def build(box: Box) -> None:
    """Make this process, process 1 of a new PID namespace, the first one of the box.

    Raises OSError, or RuntimeError when the directory cannot be the upper layer of an overlay.
    """
    join_groups(box.groups)
    if box.published is not None:
        listen(box.published)
    host = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    unshare(NEWNS | NEWNET | NEWIPC | NEWUTS)
    mount("", "/", "", MS_REC | MS_PRIVATE)
    socket.sethostname(box.hostname)
    loopback_up()
    if box.link is not None:
        connect(box.link, host)
    os.close(host)
    _change_root(box)


def _change_root(box: Box) -> None:
    directory = Path(box.directory)
    upper, work, root, tmp, empty = (directory / name for name in ("upper", "work", "root", "tmp", "empty"))
    for own in (upper, work, root, tmp, empty):
        own.mkdir()
    tmp.chmod(0o1777)
    layers = ((name, _escaped(path)) for name, path in (("lowerdir", box.base), ("upperdir", upper), ("workdir", work)))
    options = () if box.durable else ("volatile",)
    try:
        mount("overlay", str(root), "overlay", 0, ",".join([*options, *(f"{name}={path}" for name, path in layers)]))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise RuntimeError(
            f"{directory} is on a file system that cannot be the upper layer of an overlay; set TMPDIR to another one"
        ) from None
    _bind(str(tmp), f"{root}/tmp")
    if box.hidden and Path(f"{root}{box.hidden}").exists():
        _bind(str(empty), f"{root}{box.hidden}")
    for path in box.writable:
        _bind(path, _place(root, path))
    for path in box.visible:
        _bind(path, _place(root, path), MS_RDONLY)
    mount("proc", _place(root, "/proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("sysfs", _place(root, "/sys"), "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _devices(Path(_place(root, "/dev")))
    os.chdir(root)
    mount(str(root), "/", "", MS_MOVE)
    os.chroot(".")
    os.chdir("/")


def _place(root: Path, path: str) -> str:
    """The place of a path of the host below the root of the box, made where the base has none."""
    place = root / path.lstrip("/")
    if not place.exists():
        if Path(path).is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        else:
            place.mkdir(parents=True)
    return str(place)


def _bind(path: str, place: str, flags: int = 0) -> None:
    mount(path, place, "", MS_BIND | MS_REC)
    if flags:  # a bind takes the flags of its source; a second call changes them
        mount("", place, "", MS_BIND | MS_REMOUNT | flags)


def _devices(place: Path) -> None:
    mount("tmpfs", str(place), "tmpfs", MS_NOSUID, "mode=755")
    for name, minor in _MEMORY_DEVICES.items():
        os.mknod(place / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        (place / name).chmod(0o666)
    for name, target in _DEVICE_LINKS.items():
        (place / name).symlink_to(target)
    shared = place / "shm"
    shared.mkdir()
    shared.chmod(0o1777)


def _escaped(path: str | Path) -> str:
    """A path in the options of an overlay, where commas and colons separate."""
    return str(path).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
