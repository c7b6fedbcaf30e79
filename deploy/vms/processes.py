"""Processes for the VMs of a driver on this machine.  They end with this process, also when it is killed.

All processes of a deployment are children of one warden (:mod:`deploy.warden`), in a session of its own, so that
Ctrl-C in a terminal does not reach them.  The warden ends them when this process ends, even by SIGKILL, and removes
the deployment's directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from deploy.proc import why_no_process
from deploy.wire import Exited, Hello, Launch, Started, decode_event
from loadgen.model.errors import TargetError

_WARDEN = (sys.executable, "-P", "-m", "deploy.warden")  # -P: do not import a directory `deploy` of the user
_HELLO_S = 30.0  # the warden imports the application first; seconds on a loaded machine
_STOP_S = 5.0
_STOP_PER_VM_S = 0.03
_STDERR_LINES = 20


class Processes:
    """The processes of one deployment.

    >>> processes = Processes(names, self.died)
    >>> directory = await processes.open(ends)  # for files; it is removed at the end
    >>> processes.launch([Launch(vm="vm01", directory=str(directory), program=("web", "/usr/bin/web", "--port", "80"))])
    """

    def __init__(self, names: Sequence[str], died: Callable[[str, str], None]) -> None:
        """Processes of the VMs `names`; `died` is called with the VM and the reason when one ends by itself."""
        self._names = names
        self._died = died
        self._warden: asyncio.subprocess.Process | None = None
        self._directory: Path | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stopping = False
        self._pids: dict[str, list[int]] = {}

    async def open(self, ends: AsyncExitStack, app: str = "") -> Path:
        """Start the warden, and register its end on `ends`; returns an empty directory for the deployment's files.

        `app` is the application (`module:function`) that `Launch.app` runs; "" for launches without one.  Raises
        TargetError when the warden does not start.
        """
        ends.push_async_callback(self._stop)
        try:
            self._warden = await asyncio.create_subprocess_exec(
                *_WARDEN,
                app,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in a terminal must not reach the servers before the traffic is stopped
            )
        except OSError as error:  # this user may not run this Python, or there are too many processes
            raise TargetError(
                f"the servers' supervisor did not start: {why_no_process(error)} ({_WARDEN[0]})"
            ) from error
        self._watchers = [asyncio.create_task(self._watch_stderr(self._warden))]
        self._directory = await self._hello(self._warden)
        self._watchers.append(asyncio.create_task(self._watch_events(self._warden)))
        return self._directory

    def launch(self, launches: Iterable[Launch]) -> None:
        """Start processes; the deaths of those that cannot be started are reported."""
        assert self._warden is not None
        assert self._warden.stdin is not None
        self._warden.stdin.writelines([launch.encode() for launch in launches])

    def pids(self, name: str) -> tuple[int, ...]:
        """The processes of a VM that were started, in order; some may have ended."""
        return tuple(self._pids.get(name, ()))

    async def _stop(self) -> None:
        """End all processes and remove their directory."""
        self._stopping = True
        if self._warden is not None:
            await self._end(self._warden)
        if self._directory is not None:  # the warden has removed it, unless it was killed
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def _end(self, warden: asyncio.subprocess.Process) -> None:
        assert warden.stdin is not None
        warden.stdin.close()
        try:
            await asyncio.wait_for(warden.wait(), _STOP_S + _STOP_PER_VM_S * len(self._names))
        except TimeoutError:
            warden.kill()  # the kernel kills its children
            await warden.wait()
        await asyncio.gather(*self._watchers)
        with contextlib.suppress(OSError):
            await warden.stdin.wait_closed()

    async def _hello(self, warden: asyncio.subprocess.Process) -> Path:
        """The directory of this run, once the warden is ready."""
        assert warden.stdout is not None
        try:
            line = await asyncio.wait_for(warden.stdout.readline(), _HELLO_S)
        except TimeoutError:
            line = b""
        if not line:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._watchers[0]), 1)  # until its last error message is read
            raise TargetError(f"the servers' supervisor did not start: {self._last_words()}")
        hello = decode_event(line)
        assert isinstance(hello, Hello)
        return Path(hello.directory)

    async def _watch_events(self, warden: asyncio.subprocess.Process) -> None:
        assert warden.stdout is not None
        while line := await warden.stdout.readline():
            event = decode_event(line)
            if isinstance(event, Started):
                self._pids.setdefault(event.vm, []).append(event.pid)
            elif isinstance(event, Exited):
                self._died(event.vm, event.reason)
        if not self._stopping:
            for name in self._names:
                self._died(name, f"its supervisor ended: {self._last_words()}")

    async def _watch_stderr(self, warden: asyncio.subprocess.Process) -> None:
        assert warden.stderr is not None
        while line := await warden.stderr.readline():
            self._stderr.append(line.decode(errors="replace").rstrip())

    def _last_words(self) -> str:
        return self._stderr[-1] if self._stderr else "it printed no message"
