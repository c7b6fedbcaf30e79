"""The driver `local`: plain processes on this machine, one TCP port per VM, no isolation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.counters.place import VmPlace
from deploy.limits.groups import Usage
from deploy.servers.base import Setup, Vm, WebServer
from deploy.servers.catalog import choose
from deploy.shield import to_its_end
from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import BaseDeployment, vm_names
from deploy.vms.ports import Reservation
from deploy.vms.processes import Processes
from deploy.vms.setup import check_file_limit, last_log_lines, read_log, write_files
from deploy.wire import Launch
from loadgen.model.errors import TargetError
from loadgen.model.target import Target


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
        self._processes = Processes(vm_names(request.count), self.died)
        self._directory = Path()

    def places(self) -> Mapping[str, VmPlace]:
        """The processes and the port of each VM; its cgroup and its network are those of all."""
        return {
            one.name: VmPlace(pids=self._processes.pids(one.name), listening=(one.host, one.port))
            for one in self.targets
        }

    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        """Start all VMs; `facts.config` is known afterwards."""
        request = self.request
        with Reservation(request.address, request.count, request.base_port) as held:
            directory = self._directory = await self._processes.open(ends, request.app)
            vms = [
                Vm(
                    name=name,
                    host=held.address,
                    port=port,
                    connections=request.connections,
                    docroot=docroot.absolute(),
                    workdir=directory / name,
                )
                for name, port, docroot in zip(vm_names(request.count), held.ports, request.docroots, strict=True)
            ]
            try:
                setups = await to_its_end(asyncio.to_thread(self._set_up, vms))
            except OSError as error:
                raise TargetError(f"{directory} cannot be written: {error.strerror}") from error
            self.facts = replace(self.facts, config=setups[0].config)
            self._processes.launch(setup.launch for setup in setups)
            targets = tuple(Target(name=vm.name, host=vm.host, port=vm.port) for vm in vms)
            await self.wait_until_serving(targets, lambda name: last_log_lines(directory / name))
            return targets

    def run(self, name: str, program: Sequence[str]) -> None:
        """Start one more program beside the server of a VM."""
        self._processes.launch([Launch(vm=name, directory=str(self._directory / name), program=tuple(program))])

    def log(self, name: str, program: str) -> str:
        """The first megabyte of what such a program has printed."""
        return read_log(self._directory / name, program)

    def usage(self, name: str) -> Usage | None:
        """None: these VMs have no cgroups."""
        return None

    def granted(self, name: str) -> Mapping[str, Any]:
        """Nothing: these VMs have no limits."""
        return {}

    def sources(self, count: int) -> tuple[str, ...]:
        """Addresses of the loopback network, if the VMs listen there."""
        if not self.targets[0].host.startswith("127."):
            return ()
        return tuple(f"127.0.2.{number}" for number in range(1, min(count, 254) + 1))

    def gateway(self, name: str) -> str:
        """The address at which the VMs listen."""
        return self.targets[0].host

    def _set_up(self, vms: Sequence[Vm]) -> list[Setup]:
        setups = [self._server.setup(vm) for vm in vms]
        for vm, setup in zip(vms, setups, strict=True):
            write_files(vm, setup)
        return setups
