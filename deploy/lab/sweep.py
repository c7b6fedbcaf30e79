"""What a lab might leave behind: processes whose coordinator is gone.

They end with it, by their parent-death signal and by the end of their input.  Should one have been unable to, it is
found by a mark in its environment, which says whose it is.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

MARK = "LOADGEN_LAB"

_STARTTIME = 19  # of the fields behind the name in /proc/PID/stat (proc(5))
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process of a lab that nobody owns any more."""

    pid: int
    command: str


def mark() -> dict[str, str]:
    """For the environment of the processes of a lab that this process owns."""
    return {MARK: f"{os.getpid()}:{_start_ticks(os.getpid())}"}


def end_leftovers() -> list[Leftover]:
    """Kill what is left of labs whose coordinator is gone; what it was.

    Only processes of this PID namespace are looked at: a mark has no meaning in another one.
    """
    ended = []
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # it has ended, or is somebody else's
                ended += _end(int(entry.name))
    return ended


def _end(pid: int) -> list[Leftover]:
    """Raises OSError."""
    handle = os.pidfd_open(pid)  # first, so that what is killed is what was looked at
    try:
        home = _PROC / str(pid)
        if (home / "ns" / "pid").stat().st_ino != (_PROC / "self" / "ns" / "pid").stat().st_ino:
            return []
        if not _is_orphan((home / "environ").read_bytes()):
            return []
        command = (home / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return [Leftover(pid, command)]
    finally:
        os.close(handle)


def _is_orphan(environment: bytes) -> bool:
    """Whether it is marked, and whoever is named by the mark is gone."""
    start = f"{MARK}=".encode()
    value = next((one.removeprefix(start) for one in environment.split(b"\0") if one.startswith(start)), b"")
    pid, _, ticks = value.decode(errors="replace").partition(":")
    return pid.isdecimal() and ticks.isdecimal() and _start_ticks(int(pid)) != int(ticks)


def _start_ticks(pid: int) -> int:
    """When a process was started, in the kernel's ticks since boot; -1 when there is none."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
        return int(stat.rpartition(")")[2].split()[_STARTTIME])
    except (OSError, ValueError, IndexError):
        return -1
