"""The warden: the parent of all processes that a driver starts on this machine (`python -m deploy.warden APP`).

The warden imports the application APP (`module:function`, or "" for none) once, forks a worker per VM from itself,
starts programs such as web servers, and reports processes that end.  It ends all of them when its standard input ends:
the driver closes it to stop, and the kernel closes it when the driver dies in whatever way.  If the warden itself is
killed, the kernel kills its children.  The warden has no event loop, because it forks, and it forks from its main
thread only: the kernel takes the end of a forking thread for the death of the parent.

One case leaves something behind: when the driver *and* the warden are killed by SIGKILL at the same time, no process
survives (a CGI program that is running ends by itself), but the run's directory under TMPDIR and empty cgroups remain.
The next warden removes the directory, and the next run with cgroups removes them.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.application import load_application, run_worker
from deploy.box.enter import Entrance, Entrances
from deploy.limits.removal import remove_groups
from deploy.proc import become_subreaper, children_of, fork_child, run_program, why_no_process
from deploy.run_directory import make_run_directory, remove_leftovers
from deploy.wire import Exited, Hello, Launch, Started, encode_event
from loadgen.host.limits import raise_open_files

if TYPE_CHECKING:
    from deploy.worker import MakeApp

_CHUNK_BYTES = 65536
_LOG_LIMIT_BYTES = 1 << 20
_TAIL_LINES = 10
_TAIL_LINE_CHARS = 300
_KILL_S = 2.0
_KILL_PER_PROCESS_S = 0.01
_PARENT_CHECK_S = 0.5


_Run = tuple[str, Callable[[], None]]
"""The name of a process, and what it does."""


class _Child:
    """A child process and its output: the first megabyte goes to a file, the last lines stay in memory."""

    def __init__(self, vm: str, process: str, output_fd: int, log: Path) -> None:
        self.vm = vm
        self.process = process
        self.output_fd = output_fd
        self._log = log
        self._room_bytes = _LOG_LIMIT_BYTES
        self._line = b""
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def drain(self) -> bool:
        """Read the output that is there; False at the end of the output."""
        while True:
            try:
                chunk = os.read(self.output_fd, _CHUNK_BYTES)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self._keep(chunk)

    def tail(self) -> tuple[str, ...]:
        """The last lines of its output, oldest first."""
        return tuple(self._tail) + ((_readable(self._line),) if self._line else ())

    def _keep(self, chunk: bytes) -> None:
        kept = chunk[: self._room_bytes]
        if kept:
            with contextlib.suppress(OSError), self._log.open("ab") as file:  # a full disk must not end the servers
                file.write(kept)
            self._room_bytes -= len(kept)
        *lines, rest = (self._line + chunk).split(b"\n")
        self._tail.extend(_readable(line) for line in lines if line.strip())
        self._line = rest[-_CHUNK_BYTES:]


class Warden:
    """Starts the processes that commands ask for, reports those that end, and ends all of them with the commands."""

    def __init__(self, directory: Path, make_app: MakeApp | None, commands_fd: int, events_fd: int) -> None:
        """Read commands from one descriptor, and write events to another; `directory` is for files of the run."""
        self._directory = directory
        self._make_app = make_app
        self._commands_fd = commands_fd
        self._events_fd = events_fd
        self._parent = os.getppid()
        self._children: dict[int, _Child] = {}
        self._entrances = Entrances()
        self._groups: set[str] = set()
        self._selector = selectors.DefaultSelector()
        self._wakeup_fd, wakeup_write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._unread = b""
        self._unsent = b""
        self._ending = False
        signal.set_wakeup_fd(wakeup_write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_end_signal)
        os.set_blocking(commands_fd, False)
        os.set_blocking(events_fd, False)
        self._selector.register(commands_fd, selectors.EVENT_READ)
        self._selector.register(self._wakeup_fd, selectors.EVENT_READ)

    def run(self) -> None:
        """Handle commands and children until the commands end, then end all children."""
        self._say(encode_event(Hello(directory=str(self._directory))))
        while not self._ending:
            self._turn(_PARENT_CHECK_S)
            if os.getppid() != self._parent:  # the driver died, but another process holds the other end of our input
                break
        self._end_all()

    def _turn(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            if key.fd == self._wakeup_fd:
                _discard(self._wakeup_fd)
                self._reap()
            elif key.fd == self._commands_fd:
                self._read_commands()
            elif key.fd == self._events_fd:
                self._say(b"")
            elif isinstance(key.data, _Child) and key.fd == key.data.output_fd and not key.data.drain():
                self._selector.unregister(key.fd)

    def _on_end_signal(self, *_: object) -> None:
        self._ending = True

    def _read_commands(self) -> None:
        chunk = os.read(self._commands_fd, _CHUNK_BYTES)
        if not chunk:
            self._ending = True
            self._selector.unregister(self._commands_fd)
            return
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            self._launch(Launch.decode(line))

    def _launch(self, launch: Launch) -> None:
        app, make_app = launch.app, self._make_app
        runs: list[_Run] = []
        if app is not None and make_app is not None:
            runs.append(("app", lambda: run_worker(app, make_app)))
        if launch.program:
            name, *argv = launch.program
            runs.append((name, lambda: run_program(argv)))
        if launch.box is None:
            for process, run in runs:
                self._start(launch, process, run)
            return
        self._groups.update(launch.box.groups)
        runs.reverse()  # the program is the first process of its box
        try:
            with self._entrances.into(launch.vm, launch.box) as way:
                for process, run in runs:
                    pid = self._start(launch, process, run, way())
                    if pid:
                        self._entrances.founded(launch.vm, pid)
        except OSError as error:  # not permitted, or the first process has ended already
            self._say(encode_event(Exited(vm=launch.vm, process="unshare", status=1, log=(str(error),))))

    def _start(self, launch: Launch, process: str, run: Callable[[], None], way: Entrance | None = None) -> int:
        """Start a process; returns its pid, or 0 after the failure was reported."""

        def enter_and_run() -> None:
            if way is not None:
                way.enter()
            run()

        try:
            output_fd, child_output_fd = os.pipe2(os.O_CLOEXEC)
            try:
                pid = fork_child(child_output_fd, enter_and_run, way.kept if way else ())
            finally:
                os.close(child_output_fd)
        except OSError as error:  # out of processes or descriptors
            log = (why_no_process(error),)
            self._say(encode_event(Exited(vm=launch.vm, process=process, status=1, log=log)))
            return 0
        os.set_blocking(output_fd, False)
        child = _Child(launch.vm, process, output_fd, Path(launch.directory) / f"{process}.log")
        self._children[pid] = child
        self._say(encode_event(Started(vm=launch.vm, pid=pid)))
        self._selector.register(output_fd, selectors.EVENT_READ, child)
        return pid

    def _reap(self) -> bool:
        """Collect every child that has ended, adopted ones included; report those that ended by themselves.

        Returns whether children are left.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self._entrances.gone(pid)
            child = self._children.pop(pid, None)
            if child is not None:
                self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: _Child, status: int) -> None:
        child.drain()
        if child.output_fd in self._selector.get_map():
            self._selector.unregister(child.output_fd)
        os.close(child.output_fd)
        child.output_fd = -1  # the same number may still be ready in this turn, or soon belong to another child
        if not self._ending:
            self._say(encode_event(Exited(vm=child.vm, process=child.process, status=status, log=child.tail())))

    def _say(self, line: bytes) -> None:
        """Send without blocking: a driver that does not read must not keep the warden from noticing its end."""
        self._unsent += line
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._events_fd, self._unsent) :]
        except BlockingIOError:
            if self._events_fd not in self._selector.get_map():
                self._selector.register(self._events_fd, selectors.EVENT_WRITE)
            return
        except BrokenPipeError:
            self._unsent = b""
            self._ending = True
        if self._events_fd in self._selector.get_map():
            self._selector.unregister(self._events_fd)

    def _end_all(self) -> None:
        """Kill all processes, and wait until the kernel has ended them.

        They are not asked to end: nothing of them is needed any more, and a thousand that tidy up take seconds of CPU.
        """
        self._ending = True
        deadline = time.monotonic() + _KILL_S + _KILL_PER_PROCESS_S * len(self._children)
        for pid in self._children:
            os.killpg(pid, signal.SIGKILL)
        while self._reap() and time.monotonic() < deadline:
            if not self._children:  # some are left that this process has adopted, such as a CGI program
                self._kill_adopted()
            self._turn(0.01)
        self._kill_adopted()
        remove_groups(self._groups)

    def _kill_adopted(self) -> None:
        for pid in children_of(os.getpid()):
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Run a warden.  The application is its argument; commands come on standard input, events go to standard output."""
    make_app = load_application(sys.argv[1])
    become_subreaper()
    raise_open_files()
    gc.freeze()  # modules imported so far are never collected, so their pages stay shared with the workers
    remove_leftovers()
    directory = make_run_directory()
    try:
        Warden(directory, make_app, commands_fd=0, events_fd=1).run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _readable(line: bytes) -> str:
    return line.decode(errors="replace").rstrip()[:_TAIL_LINE_CHARS]


def _discard(fd: int) -> None:
    try:
        while os.read(fd, _CHUNK_BYTES):
            pass
    except BlockingIOError:
        return


if __name__ == "__main__":
    main()
