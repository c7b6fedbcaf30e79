"""The driver `oci`: web servers in containers of Docker or podman (:mod:`deploy.oci`).

Where no engine answers, podman is started as a service for the run.  The image is made of programs of this machine.
All containers are in the network of this machine: a published port of an engine would add a proxy or address
translation to what is measured.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from deploy.counters.place import VmPlace
from deploy.limits.groups import PARENT, granted, new_run
from deploy.limits.removal import check_removed
from deploy.oci.asking import asked
from deploy.oci.engine import Container, Engine
from deploy.oci.finding import Found, find_engine
from deploy.oci.groups import check_granted, group_of, remove_run, sweep
from deploy.oci.image import Image, build_image, python_paths
from deploy.oci.owner import RUN, labels
from deploy.oci.pipes import CGROUPS, Pipes
from deploy.oci.service import SOCKET, prepare_service, until_it_listens
from deploy.servers.base import Setup, Vm, WebServer
from deploy.servers.catalog import choose
from deploy.shield import to_its_end
from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import vm_names
from deploy.vms.limited import LimitedDeployment
from deploy.vms.ports import Reservation
from deploy.vms.processes import Processes
from deploy.vms.setup import check_file_limit, write_files
from deploy.wire import Launch
from loadgen.host.scheduler import scheduler
from loadgen.model.errors import TargetError
from loadgen.model.target import Target

_SERVICE = "engine"  # no VM has this name
_AT_ONCE = 4
_HEARD_S = 90.0
_HEARD_PER_VM_S = 1.0


class Oci:
    """A :class:`deploy.vms.api.VmDriver` that starts web servers in containers."""

    starts_servers = True

    def prepare(self, request: VmRequest) -> OciVms:
        """VMs that run the requested web server.

        Raises PlanError when there is no container engine or no Python package for it, the server is not installed or
        may not open enough files, or when this machine has no controller for a limit.
        """
        found = find_engine("the VM driver oci", request.limits)
        server = choose(request.server)
        check_file_limit(server, request.connections)
        return OciVms(server, request, found)


class OciVms(LimitedDeployment):
    """The VMs of one request, one container for each of its document roots."""

    def __init__(self, server: WebServer, request: VmRequest, found: Found) -> None:
        """VMs of an engine that runs, or of a service that is started with them."""
        super().__init__(request, VmFacts(driver="oci", server=server.kind.value, version=server.version, config=""))
        self._server = server
        self._found = found
        self._labels = labels()
        self._cgroups = new_run() if not found.socket and os.geteuid() == 0 else ""
        self._pipes = Pipes(self.died)
        self._directory = Path()

    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        """Start all VMs; `facts` is complete afterwards."""
        request = self.request
        names = vm_names(request.count)
        processes = Processes(names, self._ended)
        if self._cgroups:
            await asyncio.to_thread(sweep)
            ends.push_async_callback(asyncio.to_thread, lambda: check_removed(remove_run(self._cgroups)))
        with Reservation(request.address, request.count, request.base_port) as held:
            self._directory = await processes.open(ends)
            vms = [
                Vm(
                    name=name,
                    host=held.address,
                    port=port,
                    connections=request.connections,
                    docroot=docroot.absolute(),
                    workdir=self._directory / name,
                )
                for name, port, docroot in zip(names, held.ports, request.docroots, strict=True)
            ]
            image = asyncio.create_task(asyncio.to_thread(build_image, self._server.programs, request.app))
            ends.push_async_callback(_settled, image)
            engine = await self._engine(processes, ends)
            ends.callback(self._pipes.close)
            setups = await self._set_up(vms)
            await self._start_containers(engine, await image, vms)
            for setup in setups:
                self._pipes.send(setup.launch)
            await self._hear(engine, names)
            self.groups = {vm.name: group_of(vm.name, _text(vm.workdir / CGROUPS)) for vm in vms}
            self.facts = replace(self.facts, config=setups[0].config, details=self._details(engine))
            targets = tuple(Target(name=vm.name, host=vm.host, port=vm.port) for vm in vms)
            await self.wait_until_serving(targets, lambda name: self.explained(name, self._directory / name))
            for group in self.groups.values():
                check_granted(group, request.limits)
            return targets

    def places(self) -> Mapping[str, VmPlace]:
        """The cgroups and the port of each VM; its network is that of this machine."""
        return {
            one.name: VmPlace(
                group=self.groups[one.name] if self.groups[one.name].places else None, listening=(one.host, one.port)
            )
            for one in self.targets
        }

    def run(self, name: str, program: Sequence[str]) -> None:
        """Start one more program in a VM: its name in messages, then its command line.

        It counts as part of the VM: its end is reported as the death of the VM.  Its output goes to a log.
        """
        self._pipes.send(Launch(vm=name, directory=str(self._directory / name), program=tuple(program)))

    def _ended(self, name: str, reason: str) -> None:
        """Report the death of a VM, or of all VMs when the service of the engine has ended."""
        if name != _SERVICE:
            self.died(name, reason)
            return
        for one in vm_names(self.request.count):
            self.died(one, f"its container engine ended: {reason}")

    async def _engine(self, processes: Processes, ends: AsyncExitStack) -> Engine:
        """A connection to the engine, after the service was started and leftovers were removed."""
        service = self._directory / _SERVICE
        engine = Engine(self._found.socket or str(service / SOCKET))
        ends.callback(engine.close)
        if not self._found.socket:
            try:
                program = prepare_service(self._found.podman, service, self.request.count)
            except OSError as error:
                raise TargetError(f"{service} cannot be written: {error.strerror}") from error
            processes.launch([Launch(vm=_SERVICE, directory=str(service), program=program)])
            await self.unless_one_dies(until_it_listens(service / SOCKET))
        await asked("answers", engine.connect)
        if self._found.socket:
            await asked("has removed what killed runs have left", engine.sweep)
            ends.push_async_callback(asked, "has removed the containers", partial(engine.remove_run, self._labels[RUN]))
        return engine

    async def _hear(self, engine: Engine, names: Sequence[str]) -> None:
        """Wait for the first words of each container."""

        async def running() -> set[str]:
            return await asked("has listed its containers", partial(engine.running, self._labels[RUN]))

        timeout_s = _HEARD_S + _HEARD_PER_VM_S * len(names)
        await self.unless_one_dies(self._pipes.wait_until_heard(names, running, timeout_s))

    async def _set_up(self, vms: Sequence[Vm]) -> list[Setup]:
        try:
            setups = await to_its_end(asyncio.to_thread(self._write, vms))
            for vm in vms:
                self._pipes.open(vm.name, vm.workdir)
        except OSError as error:
            raise TargetError(f"{self._directory} cannot be written: {error.strerror}") from error
        return setups

    def _write(self, vms: Sequence[Vm]) -> list[Setup]:
        for vm in vms:
            if not vm.docroot.is_dir():  # podman would make it
                raise TargetError(f"{vm.name}: the document root {vm.docroot} does not exist")
        setups = [self._server.setup(vm) for vm in vms]
        for vm, setup in zip(vms, setups, strict=True):
            write_files(vm, setup)
        return setups

    async def _start_containers(self, engine: Engine, image: Image, vms: Sequence[Vm]) -> None:
        name = await self.unless_one_dies(asked("has taken the image", partial(engine.take_image, image)))
        turns = asyncio.Semaphore(_AT_ONCE)

        async def start(vm: Vm) -> None:
            async with turns:
                await asked(f"has started {vm.name}", partial(engine.start, self._container(vm, name)))

        async def start_all() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for vm in vms:
                        group.create_task(start(vm))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None

        await self.unless_one_dies(start_all())

    def _container(self, vm: Vm, image: str) -> Container:
        return Container(
            name=f"loadgen-{self._labels[RUN]}-{vm.name}",
            vm=vm.name,
            image=image,
            command=(sys.executable, "-P", "-m", "deploy.oci.guest", str(vm.workdir), self.request.app),
            environment={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            labels=self._labels,
            mounts={**dict.fromkeys(python_paths(), False), str(vm.docroot): False, str(vm.workdir): True},
            limits=self.request.limits,
            disk=self._found.disk,
            cgroup_parent=f"/{PARENT}/{self._cgroups}" if self._cgroups else "",
        )

    def _details(self, engine: Engine) -> Mapping[str, Any]:
        return {
            "engine": engine.version if self._found.socket else f"{engine.version}, a service of this run",
            "network": "network of this machine",
            "limits": granted(next(iter(self.groups.values()))),
            "scheduler": scheduler(),
        }


async def _settled(work: asyncio.Task[Image]) -> None:
    """Wait for the end of work in a thread, whose result nobody needs any more."""
    await asyncio.wait((work,))
    if not work.cancelled():
        work.exception()


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
