"""Runs one command, and measures it: its output, exit status, wall time and CPU time."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path
from typing import NoReturn

from deploy.commands.api import MOST_OUTPUT_BYTES, Ran
from deploy.commands.wire import Step
from deploy.proc import fork_child, why_no_process
from loadgen.model.units import NS_PER_MS, NS_PER_S

NOT_FOUND, NOT_STARTED = 127, 126  # as shells say it (POSIX)
_CHUNK_BYTES = 65536
_REAP_NS = NS_PER_S
_CUT = b"\n[... output left out ...]\n"


def run_step(step: Step, work: Path, input_fd: int) -> Ran | None:
    """Run the command of `step` in the directory `work`; None when `input_fd` ends first, and the command still runs.

    The kernel kills the command when this process dies.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reading, False)
    output = _Output(reading)
    began_ns = time.monotonic_ns()
    try:
        pid = fork_child(writing, lambda: _become(step.argv, work))
    except OSError as error:
        os.close(reading)
        return Ran(status=NOT_STARTED, output=why_no_process(error), wall_ns=0)
    finally:
        os.close(writing)
    with contextlib.closing(output):
        ended = _Waiting(pid, input_fd, output).until(began_ns + step.timeout_ns)
        ended_ns = time.monotonic_ns()
        if ended is None:
            return None
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
        output.drain()
        _reap_others(pid)
        return Ran(
            status=os.waitstatus_to_exitcode(status),
            output=output.text(),
            wall_ns=ended_ns - began_ns,
            cpu_ns=round((used.ru_utime + used.ru_stime) * NS_PER_S),
            timed_out=not ended,
        )


class _Output:
    """The output of a command: its beginning and its end."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._start = bytearray()
        self._end = bytearray()
        self._cut = False

    def drain(self) -> bool:
        """Read what is there; False at the end of the output."""
        half = MOST_OUTPUT_BYTES // 2
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.descriptor, _CHUNK_BYTES):
                room = half - len(self._start)
                self._start += chunk[:room]
                self._end += chunk[room:]
                if len(self._end) > half:
                    del self._end[:-half]
                    self._cut = True
            return False
        return True

    def text(self) -> str:
        """The output that is kept."""
        return bytes(self._start + (_CUT if self._cut else b"") + self._end).decode(errors="replace")

    def close(self) -> None:
        """Read no more; a process in the background that writes gets an error."""
        os.close(self.descriptor)


class _Waiting:
    """Waits for the end of a process, reads its output, and collects orphans meanwhile."""

    def __init__(self, pid: int, input_fd: int, output: _Output) -> None:
        self._pid = pid
        self._input_fd = input_fd
        self._output = output

    def until(self, deadline_ns: int) -> bool | None:
        """True when the process has ended; False at the deadline; None when the input has ended."""
        process_fd = os.pidfd_open(self._pid)
        try:
            poll = select.poll()
            poll.register(process_fd, select.POLLIN)
            poll.register(self._output.descriptor, select.POLLIN)
            poll.register(self._input_fd, select.POLLRDHUP)  # its end only; commands wait until this one has ended
            while (left_ns := deadline_ns - time.monotonic_ns()) > 0:
                ready = dict(poll.poll(min(left_ns, _REAP_NS) / NS_PER_MS))
                if process_fd in ready:
                    return True
                if self._input_fd in ready:
                    return None
                if self._output.descriptor in ready and not self._output.drain():
                    poll.unregister(self._output.descriptor)
                if not ready:
                    _reap_others(self._pid)
            return False
        finally:
            os.close(process_fd)


def _reap_others(pid: int) -> None:
    """Collect processes that have ended, but not `pid`."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and found.si_pid != pid:
            os.waitpid(found.si_pid, 0)


def _become(argv: tuple[str, ...], work: Path) -> NoReturn:
    """Replace this process by the command."""
    os.chdir(work)
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {os.strerror(error.errno or 0)}\n".encode(errors="replace"))
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_STARTED)
