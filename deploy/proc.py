"""Processes of Linux: forking children that end with their parent, and finding children."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FIRST_FD = 3
_LAST_FD = 2**32 - 1  # the largest number that close_range takes
_NEARLY = 0.98  # of a limit of the kernel, whose numbers of processes are spent in groups
_ENDED = ("Z", "X")  # states in /proc/PID/stat (proc(5)): ended, and not collected by its parent
_STARTTIME = 19  # of the fields behind the name in /proc/PID/stat (proc(5))

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Make this process the parent of all orphans below it, instead of init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def fork_child(output_fd: int, run: Callable[[], None], kept: Collection[int] = ()) -> int:
    """Fork a process that calls `run`; returns its pid.

    The child exits with status 0 after `run`, or prints the exception of `run` and exits with status 1.  It leads a
    process group of its own.  The kernel kills it when this process dies, unless `run` changes its user.  Its input is
    /dev/null, its output and error output are `output_fd`; it inherits the descriptors `kept`, no other descriptor and
    no signal handler.
    Call this from the main thread: the kernel takes the end of the forking *thread* for the death of the parent.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_child(parent, output_fd, run, kept)
    with contextlib.suppress(PermissionError, ProcessLookupError):  # the child has its group already, or has ended
        os.setpgid(pid, pid)
    return pid


def run_program(argv: list[str]) -> NoReturn:
    """Replace this process by the program at the path `argv[0]`, with the default action of SIGPIPE."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the program would inherit that
    os.execv(argv[0], argv)


def children_of(pid: int) -> list[int]:
    """The pids of the children of a process: those that run, and those that have ended but are not collected."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and parent_in_stat(_read(entry / "stat")) == pid:
            found.append(int(entry.name))
    return found


def parent_in_stat(stat: str) -> int | None:
    """The parent's pid in the text of /proc/PID/stat; None if the text has another format.

    The command's name stands in parentheses, and may itself contain blanks and parentheses.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else None


def start_ticks(pid: int) -> int:
    """The start time of a process in clock ticks since boot; -1 when there is none, or it has ended."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[_STARTTIME]) if len(fields) > _STARTTIME and fields[0] not in _ENDED else -1


def why_no_process(error: OSError) -> str:
    """The error of a fork in words, with the kernel's limit that was reached, where that can be seen."""
    said = os.strerror(error.errno or 0)
    if error.errno != errno.EAGAIN:
        return said
    tasks = int(_read(Path("/proc/loadavg")).split()[3].partition("/")[2])
    for name in ("pid_max", "threads-max"):
        limit = _read(Path(f"/proc/sys/kernel/{name}")).strip()
        if limit.isdecimal() and tasks >= _NEARLY * int(limit):
            return f"{said}: {tasks} processes and threads, but kernel.{name} is {limit}"
    return f"{said}: a limit of processes is reached (ulimit -u, or pids.max of a cgroup)"


def _be_child(parent: int, output_fd: int, run: Callable[[], None], kept: Collection[int]) -> NoReturn:
    status = 1
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the call above.  getppid() is 0 for the first process of a PID namespace.
        if parent_in_stat(_read(Path("/proc/self/stat"))) != parent:
            os._exit(status)
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output_fd, 1)
        os.dup2(output_fd, 2)
        _close_others(kept)
        run()
        status = 0
    except BaseException:  # noqa: BLE001 - the child must never return into the parent's code
        os.write(2, traceback.format_exc().encode(errors="replace"))
    finally:
        os._exit(status)


def _close_others(kept: Collection[int]) -> None:
    """Close all descriptors but the standard three and those `kept`."""
    borders = sorted(fd for fd in kept if fd >= _FIRST_FD)
    firsts, lasts = [_FIRST_FD, *(fd + 1 for fd in borders)], [*(fd - 1 for fd in borders), _LAST_FD]
    if all(_close_range(first, last) for first, last in zip(firsts, lasts, strict=True) if first <= last):
        return
    # `closerange` may be too slow: it may try each number up to the limit, which is often a million or more.
    for entry in list(Path("/proc/self/fd").iterdir()):
        if int(entry.name) >= _FIRST_FD and int(entry.name) not in kept:
            with contextlib.suppress(OSError):  # the descriptor that listed the directory is closed already
                os.close(int(entry.name))


def _close_range(first: int, last: int) -> bool:
    """Close the descriptors `first` to `last` in one system call; False where there is none (Linux 5.9, glibc 2.34).

    A warden of a thousand VMs has as many descriptors, and each of its children must close them all.
    """
    close_range = getattr(_libc, "close_range", None)
    return close_range is not None and close_range(ctypes.c_uint(first), ctypes.c_uint(last), 0) == 0


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # the process has ended
        return ""
