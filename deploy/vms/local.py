"""The driver `local`: plain processes on this machine, one TCP port per VM, no isolation.

All processes are children of a warden (:mod:`deploy.warden`), which ends them when this process ends, even by SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from deploy.servers.base import Setup, Vm, WebServer
from deploy.servers.catalog import choose
from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import BaseDeployment
from deploy.vms.ports import Reservation
from deploy.vms.probe import wait_until_ready
from deploy.wire import Exited, Hello, decode_event
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.target import Target

_WARDEN = (sys.executable, "-P", "-m", "deploy.warden")  # -P: do not import a directory `deploy` of the user
_HELLO_S = 30.0  # the warden imports the application first; seconds on a loaded machine
_READY_S = 15.0
_READY_PER_VM_S = 0.1
_STOP_S = 3.0
_STDERR_LINES = 20


class Local:
    """A :class:`deploy.vms.api.VmDriver` that starts web servers as processes of this machine."""

    starts_servers = True

    def prepare(self, request: VmRequest) -> LocalVms:
        """VMs that run the requested web server.

        Raises PlanError when the server is not installed, or may not open enough files.
        """
        server = choose(request.server)
        check_file_limit(server, request.connections)
        return LocalVms(server, request)


class LocalVms(BaseDeployment):
    """The VMs of one request, one for each of its document roots.

    >>> async with LocalVms(choose(Server.AUTO), request) as vms:
    ...     drive(vms.targets)
    """

    def __init__(self, server: WebServer, request: VmRequest) -> None:
        super().__init__(request, VmFacts(driver="local", server=server.kind.value, version=server.version, config=""))
        self._server = server
        self._warden: asyncio.subprocess.Process | None = None
        self._directory: Path | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stopping = False

    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        """Start all VMs; `facts.config` is known afterwards."""
        request = self.request
        ends.push_async_callback(self._stop)
        with Reservation(request.address, request.count, request.base_port) as reservation:
            return await self._start(reservation.address, reservation.ports)

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
            await asyncio.wait_for(warden.wait(), _STOP_S)
        except TimeoutError:
            warden.kill()  # the kernel kills its children
            await warden.wait()
        await asyncio.gather(*self._watchers)
        with contextlib.suppress(OSError):
            await warden.stdin.wait_closed()

    async def _start(self, address: str, ports: Sequence[int]) -> tuple[Target, ...]:
        self._warden = await asyncio.create_subprocess_exec(
            *_WARDEN,
            self.request.app,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal must not reach the servers before the traffic is stopped
        )
        self._watchers = [asyncio.create_task(self._watch_stderr(self._warden))]
        self._directory = await self._hello(self._warden)
        vms = [
            Vm(
                name=name,
                host=address,
                port=port,
                connections=self.request.connections,
                docroot=docroot.absolute(),
                workdir=self._directory / name,
            )
            for name, port, docroot in zip(vm_names(len(ports)), ports, self.request.docroots, strict=True)
        ]
        try:
            setups = await asyncio.to_thread(self._set_up, vms)
        except OSError as error:
            raise TargetError(f"{self._directory} cannot be written: {error.strerror}") from error
        self.facts = replace(self.facts, config=setups[0].config)
        self._watchers.append(asyncio.create_task(self._watch_events(self._warden)))
        assert self._warden.stdin is not None
        self._warden.stdin.writelines([setup.launch.encode() for setup in setups])
        targets = tuple(Target(name=vm.name, host=vm.host, port=vm.port) for vm in vms)
        await self._all_ready(targets, self._directory)
        return targets

    def _set_up(self, vms: Sequence[Vm]) -> list[Setup]:
        setups = [self._server.setup(vm) for vm in vms]
        for vm, setup in zip(vms, setups, strict=True):
            vm.workdir.mkdir()
            for directory in setup.directories:
                (vm.workdir / directory).mkdir()
            for name, text in setup.files.items():
                (vm.workdir / name).write_bytes(os.fsencode(text))  # configurations contain paths, which are bytes
        return setups

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

    async def _all_ready(self, targets: Sequence[Target], directory: Path) -> None:
        """Wait until all VMs answer.

        If a process ends first, its end is reported, because it explains the missing answer.
        """
        paths = [path for path in (self.request.proof_path, self.request.app_path) if path]
        timeout_s = _READY_S + _READY_PER_VM_S * len(targets)
        ready = asyncio.create_task(
            wait_until_ready(targets, paths, timeout_s, lambda name: _last_log_lines(directory / name))
        )
        death = asyncio.create_task(self._deaths.get())
        try:
            await asyncio.wait((ready, death), return_when=asyncio.FIRST_COMPLETED)
            if death.done() and (found := death.result()) is not None:
                raise TargetError(f"{found.name} did not start: {found.reason}", hint=_hint(found.reason))
            await ready
        finally:
            for task in (ready, death):
                task.cancel()
            await asyncio.gather(ready, death, return_exceptions=True)

    async def _watch_events(self, warden: asyncio.subprocess.Process) -> None:
        assert warden.stdout is not None
        while line := await warden.stdout.readline():
            event = decode_event(line)
            if isinstance(event, Exited):
                self.died(event.vm, event.reason)
        if not self._stopping:
            for name in vm_names(self.request.count):
                self.died(name, f"its supervisor ended: {self._last_words()}")

    async def _watch_stderr(self, warden: asyncio.subprocess.Process) -> None:
        assert warden.stderr is not None
        while line := await warden.stderr.readline():
            self._stderr.append(line.decode(errors="replace").rstrip())

    def _last_words(self) -> str:
        return self._stderr[-1] if self._stderr else "it printed no message"


def vm_names(count: int) -> tuple[str, ...]:
    """vm01, vm02 and so on, all of one length."""
    width = max(2, len(str(count)))
    return tuple(f"vm{number:0{width}d}" for number in range(1, count + 1))


def check_file_limit(server: WebServer, connections: int) -> None:
    """Check the limit of open files now, because a server that runs out of them only stops answering.

    Raises PlanError when `connections` need more files in one process of `server` than the hard limit permits.
    """
    needed = server.files_needed(connections)
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if needed > hard_limit:
        raise PlanError(
            f"{connections} connections need {needed} open files in a server, but the hard limit is {hard_limit}",
            hint="use fewer connections per VM, or raise the limit (as root: ulimit -Hn)",
        )


def _last_log_lines(workdir: Path) -> str:
    """The last line of each log of a VM's processes."""
    ends = []
    for log in sorted(workdir.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()
        ends += [f"{log.stem}: {line}" for line in lines[-1:]]
    return "; ".join(ends)


def _hint(reason: str) -> str:
    taken = "ddress already in use" in reason
    return "another program took the port; choose other ports, or 0 for any free ones" if taken else ""
