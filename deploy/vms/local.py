"""The driver `local`: plain processes on this machine, one TCP port a VM, no isolation.

Everything is started by a warden (:mod:`deploy.warden`), which ends it all when we end, SIGKILL included.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from deploy.servers.base import Setup, Vm, WebServer
from deploy.vms.ports import Reservation
from deploy.vms.probe import wait_until_ready
from deploy.wire import Exited, Hello, decode_event
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.plan import Server
from loadgen.model.target import Target

_WARDEN = (sys.executable, "-P", "-m", "deploy.warden")  # -P: a directory `deploy` of the user's is not ours
_HELLO_S = 30.0  # it imports the app; seconds on a loaded machine
_READY_S = 15.0
_READY_PER_VM_S = 0.1
_STOP_S = 3.0
_STDERR_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class VmDeath:
    """A process of a VM ended by itself: the VM no longer serves all it should."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What was deployed, for the record.  `config` is the first VM's; the others differ in names and port."""

    driver: str
    server: Server
    version: str
    config: str


def vm_names(count: int) -> tuple[str, ...]:
    """vm01, vm02 and on; of one width."""
    width = max(2, len(str(count)))
    return tuple(f"vm{number:0{width}d}" for number in range(1, count + 1))


class LocalVms:
    """VMs as an async context manager: inside, every one of them answers.

    >>> async with LocalVms(choose(Server.AUTO), docroots=[root] * 16, connections=20) as vms:
    ...     drive(vms.targets)
    """

    def __init__(
        self,
        server: WebServer,
        *,
        docroots: Sequence[Path],
        connections: int,
        base_port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        """One VM for each of `docroots` (which may all be the same), for so many connections each.

        `base_port` and the ports after it are used, or any free ones for 0.
        """
        self._server = server
        self._docroots = tuple(docroots)
        self._connections = connections
        self._base_port = base_port
        self._host = host
        self._targets: tuple[Target, ...] = ()
        self._config = ""
        self._warden: asyncio.subprocess.Process | None = None
        self._directory: Path | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._deaths: asyncio.Queue[VmDeath | None] = asyncio.Queue()
        self._stopping = False

    @property
    def targets(self) -> tuple[Target, ...]:
        """The VMs to drive, in the order of their document roots."""
        return self._targets

    @property
    def deployment(self) -> Deployment:
        """What is deployed."""
        return Deployment(driver="local", server=self._server.kind, version=self._server.version, config=self._config)

    async def __aenter__(self) -> LocalVms:
        """Start all; raises PlanError (what was asked for) or TargetError (what became of it)."""
        check_file_limit(self._server, self._connections)
        try:
            with Reservation(self._host, len(self._docroots), self._base_port) as reservation:
                await self._start(reservation.address, reservation.ports)
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def deaths(self) -> AsyncIterator[VmDeath]:
        """Each death as it happens, until :meth:`stop`.  For one reader."""
        while (death := await self._deaths.get()) is not None:
            yield death

    async def stop(self) -> None:
        """End all processes and remove their directory.  Again and again is fine."""
        self._stopping = True
        warden, self._warden = self._warden, None
        if warden is not None:
            await self._end(warden)
        if self._directory is not None:  # still there only if the warden was killed
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
        self._deaths.put_nowait(None)

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

    async def _start(self, address: str, ports: Sequence[int]) -> None:
        self._warden = await asyncio.create_subprocess_exec(
            *_WARDEN,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for us alone: we stop the traffic first
        )
        self._watchers = [asyncio.create_task(self._watch_stderr(self._warden))]
        self._directory = await self._hello(self._warden)
        vms = [
            Vm(
                name=name,
                host=address,
                port=port,
                connections=self._connections,
                docroot=docroot.absolute(),
                workdir=self._directory / name,
            )
            for name, port, docroot in zip(vm_names(len(ports)), ports, self._docroots, strict=True)
        ]
        try:
            setups = await asyncio.to_thread(self._set_up, vms)
        except OSError as error:
            raise TargetError(f"{self._directory} cannot be written: {error.strerror}") from error
        self._config = setups[0].config
        self._watchers.append(asyncio.create_task(self._watch_events(self._warden)))
        assert self._warden.stdin is not None
        self._warden.stdin.writelines([setup.launch.encode() for setup in setups])
        await self._all_ready(vms)
        self._targets = tuple(Target(name=vm.name, host=vm.host, port=vm.port) for vm in vms)

    def _set_up(self, vms: Sequence[Vm]) -> list[Setup]:
        setups = [self._server.setup(vm) for vm in vms]
        for vm, setup in zip(vms, setups, strict=True):
            vm.workdir.mkdir()
            for directory in setup.directories:
                (vm.workdir / directory).mkdir()
            for name, text in setup.files.items():
                (vm.workdir / name).write_bytes(os.fsencode(text))  # it names paths, which are bytes
        return setups

    async def _hello(self, warden: asyncio.subprocess.Process) -> Path:
        assert warden.stdout is not None
        try:
            line = await asyncio.wait_for(warden.stdout.readline(), _HELLO_S)
        except TimeoutError:
            line = b""
        if not line:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._watchers[0]), 1)  # for its last words to be here
            raise TargetError(f"the servers' supervisor did not start: {self._last_words()}")
        hello = decode_event(line)
        assert isinstance(hello, Hello)
        return Path(hello.directory)

    async def _all_ready(self, vms: Sequence[Vm]) -> None:
        """Until all answer; a process that ends first is the better explanation, so it wins."""
        ready = asyncio.create_task(wait_until_ready(vms, _READY_S + _READY_PER_VM_S * len(vms)))
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
                self._deaths.put_nowait(VmDeath(name=event.vm, reason=event.reason))
        if not self._stopping:
            for name in vm_names(len(self._docroots)):
                reason = f"its supervisor ended: {self._last_words()}"
                self._deaths.put_nowait(VmDeath(name=name, reason=reason))

    async def _watch_stderr(self, warden: asyncio.subprocess.Process) -> None:
        assert warden.stderr is not None
        while line := await warden.stderr.readline():
            self._stderr.append(line.decode(errors="replace").rstrip())

    def _last_words(self) -> str:
        return self._stderr[-1] if self._stderr else "it said nothing"


def check_file_limit(server: WebServer, connections: int) -> None:
    """Before anything starts, since a server that runs out of descriptors only stops answering.

    Raises PlanError when one may not open as many as so many connections need.
    """
    needed = server.files_needed(connections)
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if needed > hard_limit:
        raise PlanError(
            f"{connections} connections need {needed} open files in a server, but the hard limit is {hard_limit}",
            hint="fewer connections per VM, or a higher limit (as root: ulimit -Hn)",
        )


def _hint(reason: str) -> str:
    return (
        "another program took the port: choose other ports, or 0 for any" if "ddress already in use" in reason else ""
    )
