"""Processes as Linux sees them: what dies with whom.  Linux only, as the whole of `deploy` is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FIRST_FD = 3

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """From now on orphans below this process become its children instead of init's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def fork_child(output_fd: int, run: Callable[[], None]) -> int:
    """Fork a process that calls `run` and exits, 0 or (after an exception, which it prints) 1; its pid.

    It is the leader of its own process group, is killed when this process dies (unless `run` changes its user:
    the kernel forgets the wish then), has /dev/null as input, `output_fd` as output and error output, no other
    descriptor of ours, and no signal handlers.  Call it from the main thread: the kernel takes the end of
    the forking *thread* for the death of the parent.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_child(parent, output_fd, run)
    with contextlib.suppress(PermissionError, ProcessLookupError):  # it was faster: has its group, or is gone
        os.setpgid(pid, pid)
    return pid


def run_program(argv: list[str]) -> NoReturn:
    """Become another program (`argv[0]` is its path), with the signals that programs expect."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the wish would be inherited
    os.execv(argv[0], argv)


def children_of(pid: int) -> list[int]:
    """Pids of the live or unreaped children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and parent_in_stat(_read(entry / "stat")) == pid:
            found.append(int(entry.name))
    return found


def parent_in_stat(stat: str) -> int | None:
    """The parent's pid in the text of /proc/PID/stat; None if the text is not one.

    The command's name, in parentheses, may itself have blanks and parentheses.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else None


def _be_child(parent: int, output_fd: int, run: Callable[[], None]) -> NoReturn:
    status = 1
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew our wish
            os._exit(status)
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output_fd, 1)
        os.dup2(output_fd, 2)
        _close_others()
        run()
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's code
        os.write(2, traceback.format_exc().encode(errors="replace"))
    finally:
        os._exit(status)


def _close_others() -> None:
    """All but the standard three.  Not `closerange`: limits are often a million or a billion."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        if int(entry.name) >= _FIRST_FD:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(int(entry.name))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it ended meanwhile
        return ""
