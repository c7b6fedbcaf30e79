"""The namespaces of Linux: new ones, those of another process, and mounts in them (unshare(2), setns(2), mount(2))."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000  # linux/sched.h
_FILES = {NEWIPC: "ipc", NEWUTS: "uts", NEWNET: "net", NEWNS: "mnt"}
"""The files in /proc/PID/ns that a process joins, the mount namespace last: the others are found through /proc."""

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32  # linux/mount.h
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 4096, 8192, 16384, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Give this process new namespaces; the new PID namespace is that of its next children.  Raises OSError."""
    _checked(_libc.unshare(flags), "unshare")


def setns(descriptor: int, flags: int) -> None:
    """Enter a namespace; a PID namespace becomes that of the next children.  Raises OSError."""
    _checked(_libc.setns(descriptor, flags), "setns")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """Mount `source` at `target`; `kind` is the type of the file system, "" for a change or a bind.  Raises OSError."""
    done = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode() or None, flags, os.fsencode(options) or None
    )
    _checked(done, f"mount {kind or source} at {target}")


@contextlib.contextmanager
def children_in_new_pid_namespace() -> Iterator[None]:
    """Inside the context, the first child of this process is process 1 of a new PID namespace; later children join it.

    Linux permits this to a process with one thread only.  Raises OSError when the user may not do so.
    """
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(NEWPID)
        try:
            yield
        finally:
            setns(own, NEWPID)
    finally:
        os.close(own)


@contextlib.contextmanager
def children_in_pid_namespace_of(pid: int) -> Iterator[None]:
    """Inside the context, children of this process are in the PID namespace of the process `pid`.  Raises OSError."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        theirs = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(theirs, NEWPID)
        finally:
            os.close(theirs)
        try:
            yield
        finally:
            setns(own, NEWPID)
    finally:
        os.close(own)


def join(pid: int) -> None:
    """Enter the IPC, UTS, network and mount namespaces of the process `pid`, and its root directory."""
    found = {flag: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for flag, name in _FILES.items()}
    for flag, descriptor in found.items():
        setns(descriptor, flag)
        os.close(descriptor)
    os.chdir("/")


def join_groups(groups: tuple[str, ...]) -> None:
    """Move this process, which has one thread, into cgroups.  Raises OSError.

    A thread that moves itself by `tasks` (version 1) needs no global lock of the kernel; waiting for that lock took
    milliseconds for each group, one process after the other.
    """
    for group in groups:
        tasks = Path(group) / "tasks"
        (tasks if tasks.exists() else Path(group) / "cgroup.procs").write_text("0")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
