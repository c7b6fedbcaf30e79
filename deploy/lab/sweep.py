"""Ends processes of labs that remain after their coordinator has ended.

Normally the parent-death signal and the end of their input end them.  A process that remains nevertheless is found by a
mark in its environment, which names its coordinator.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from deploy.proc import start_ticks

MARK = "LOADGEN_LAB"

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process of a lab whose coordinator has ended."""

    pid: int
    command: str


def mark() -> dict[str, str]:
    """The environment variable for processes of a lab that this process builds."""
    return {MARK: f"{os.getpid()}:{start_ticks(os.getpid())}"}


def end_leftovers() -> list[Leftover]:
    """Kill the processes of labs whose coordinator has ended; returns them.

    Only processes of this PID namespace are examined: the pid in a mark has no meaning in another one.
    """
    ended = []
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # the process has ended, or belongs to another user
                ended += _end(int(entry.name))
    return ended


def _end(pid: int) -> list[Leftover]:
    """Kill one process if it is a leftover; raises OSError when it has ended or may not be examined."""
    handle = os.pidfd_open(pid)  # first, so that the process that is killed is the one that was examined
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
    """Whether an environment contains a mark, and the coordinator that the mark names has ended."""
    start = f"{MARK}=".encode()
    value = next((one.removeprefix(start) for one in environment.split(b"\0") if one.startswith(start)), b"")
    pid, _, ticks = value.decode(errors="replace").partition(":")
    return pid.isdecimal() and ticks.isdecimal() and start_ticks(int(pid)) != int(ticks)
