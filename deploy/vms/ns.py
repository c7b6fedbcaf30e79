"""The driver `ns`: web servers in boxes of their own on this machine (:mod:`deploy.box`), the container analogue.

A VM has its own processes, file system layer, network, IPC and host name.  The base of all file systems is that of this
machine.  It serves either at a published port of this machine, through a listening socket made outside and inherited,
or at an address of its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import deploy
from deploy.box.box import LISTENING_FD, Box, Published
from deploy.box.network import add_addresses
from deploy.counters.place import VmPlace
from deploy.limits.groups import Groups, Usage, granted, remove_leftovers, usage
from deploy.servers.base import InheritingServer, Setup, Vm, WebServer
from deploy.servers.catalog import choose, find_all
from deploy.shield import to_its_end
from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import vm_names
from deploy.vms.limited import LimitedDeployment
from deploy.vms.ns_network import RoutedNetwork, check_unused, routes
from deploy.vms.ports import Reservation
from deploy.vms.processes import Processes
from deploy.vms.setup import check_file_limit, read_log, write_files
from deploy.wire import Launch
from loadgen.host.scheduler import scheduler
from loadgen.model.addresses import is_network
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.plan import Server
from loadgen.model.target import Target

_BASE = "/"
_HTTP_PORT = 80


class Ns:
    """A :class:`deploy.vms.api.VmDriver` that starts web servers in namespaces and cgroups."""

    starts_servers = True

    def prepare(self, request: VmRequest) -> NsVms:
        """VMs that run the requested web server.

        Raises PlanError when the user is not root, the server is not installed, may not open enough files or cannot
        take a published port, or when this machine has no controller for a limit.
        """
        if os.geteuid() != 0:
            raise PlanError(
                "the VM driver ns needs root, to create namespaces",
                hint="run loadgen as root, or use --vm-driver local: the same servers, without isolation and limits",
            )
        routed = is_network(request.address)
        server = _choose(request.server, published=not routed)
        check_file_limit(server, request.connections)
        if routed:
            check_unused(request.address, routes(request.address))
        groups = Groups(
            request.limits, disk=Path(tempfile.gettempdir()), reserve_memory_bytes=request.reserve_memory_bytes
        )
        return NsVms(server, request, groups)


class NsVms(LimitedDeployment):
    """The VMs of one request, one for each of its document roots."""

    def __init__(self, server: WebServer, request: VmRequest, groups: Groups) -> None:
        super().__init__(request, VmFacts(driver="ns", server=server.kind.value, version=server.version, config=""))
        self._server = server
        self._groups = groups
        self._processes = Processes(vm_names(request.count), self.died)
        self._network: RoutedNetwork | None = None
        self.boxes: Mapping[str, Box] = {}
        """The box of each VM, by its name; known once the deployment is entered."""

    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        """Start all VMs; `facts` is complete afterwards."""
        request = self.request
        ends.callback(self._groups.remove)
        with ExitStack() as held:
            places = self._places(ends, held)
            directory = await self._processes.open(ends, request.app)
            vms = [
                Vm(
                    name=name,
                    host=host,
                    port=port,
                    connections=request.connections,
                    docroot=docroot.absolute(),
                    workdir=directory / name,
                )
                for name, (host, port), docroot in zip(vm_names(request.count), places, request.docroots, strict=True)
            ]
            try:
                setups = await to_its_end(asyncio.to_thread(self._set_up, vms, directory))
            except OSError as error:
                raise TargetError(f"{directory} cannot be written: {error.strerror}") from error
            self.facts = replace(self.facts, config=setups[0].config, details=self._details())
            self._processes.launch(
                replace(setup.launch, box=self.boxes[vm.name]) for vm, setup in zip(vms, setups, strict=True)
            )
            targets = tuple(Target(name=vm.name, host=vm.host, port=vm.port) for vm in vms)
            await self.wait_until_serving(targets, lambda name: self.explained(name, directory / name))
            return targets

    def places(self) -> Mapping[str, VmPlace]:
        """The processes and cgroups of each VM, and its published port; without one, its network is its own."""
        published = self._network is None
        return {
            one.name: VmPlace(
                pids=self._processes.pids(one.name),
                group=self.groups[one.name] if self.groups[one.name].places else None,
                listening=(one.host, one.port) if published else None,
            )
            for one in self.targets
        }

    def run(self, name: str, program: Sequence[str]) -> None:
        """Start one more program in a VM: its name in messages, then its command line.

        It counts as part of the VM: its end is reported as the death of the VM.  Its output goes to a log.
        """
        box = self.boxes[name]
        self._processes.launch([Launch(vm=name, directory=box.writable[0], program=tuple(program), box=box)])

    def log(self, name: str, program: str) -> str:
        """The first megabyte of what a program in a VM has printed."""
        return read_log(Path(self.boxes[name].writable[0]), program)

    def usage(self, name: str) -> Usage | None:
        """The kernel's counters of a VM."""
        return usage(self.groups[name])

    def granted(self, name: str) -> Mapping[str, Any]:
        """The limits that the kernel holds for a VM."""
        return granted(self.groups[name])

    def sources(self, count: int) -> tuple[str, ...]:
        """Addresses of the VMs' network that are added to the host's end of the first VM's link."""
        if self._network is None:
            return ()
        found = self._network.spare(count)
        add_addresses(self._network.links()[0].device, found)
        return found

    def gateway(self, name: str) -> str:
        """The host's end of the VM's link; a VM with a published port reaches nothing."""
        return self._network.gateway if self._network else ""

    def _places(self, ends: AsyncExitStack, held: ExitStack) -> list[tuple[str, int]]:
        """The address and port of each VM; reserves the ports on `held`, or makes the network on `ends`."""
        request = self.request
        if not is_network(request.address):
            ports = held.enter_context(Reservation(request.address, request.count, request.base_port))
            return [(ports.address, port) for port in ports.ports]
        self._network = RoutedNetwork.of(request.address, request.count)
        ends.push_async_callback(self._network.wait_until_gone)
        guard = ExitStack()
        ends.callback(guard.close)
        self._network.guard(guard)
        port = request.base_port or _HTTP_PORT
        return [(link.address, port) for link in self._network.links()]

    def _set_up(self, vms: Sequence[Vm], directory: Path) -> list[Setup]:
        remove_leftovers()
        groups = {vm.name: self._groups.make(vm.name) for vm in vms}
        (directory / "boxes").mkdir()
        links = self._network.links() if self._network else (None,) * len(vms)
        self.boxes = {
            vm.name: Box(
                hostname=vm.name,
                directory=str(directory / "boxes" / vm.name),
                base=_BASE,
                hidden=str(directory),
                visible=(str(vm.docroot), *_PYTHON),
                writable=(str(vm.workdir),),
                groups=groups[vm.name].paths,
                published=None if link else Published(host=vm.host, port=vm.port),
                link=link,
            )
            for vm, link in zip(vms, links, strict=True)
        }
        self.groups = groups
        setups = [self._inheriting(self._server.setup(vm)) for vm in vms]
        for vm, setup in zip(vms, setups, strict=True):
            (directory / "boxes" / vm.name).mkdir()
            write_files(vm, setup)
        return setups

    def _inheriting(self, setup: Setup) -> Setup:
        if self._network or not isinstance(self._server, InheritingServer):
            return setup
        return self._server.inheriting(setup, LISTENING_FD)

    def _details(self) -> Mapping[str, Any]:
        first = next(iter(self.groups.values()))
        return {
            "base": _BASE,
            "network": f"addresses of {self.request.address}" if self._network else "published ports",
            "limits": granted(first),
            "scheduler": scheduler(),
        }


def _choose(kind: Server, *, published: bool) -> WebServer:
    """The web server; one that can take over a listening socket if the port is published."""
    if kind is Server.AUTO and published:
        return next(server for server in find_all() if isinstance(server, InheritingServer))
    server = choose(kind)
    if published and not isinstance(server, InheritingServer):
        raise PlanError(
            f"{server.kind.value} cannot serve at a published port of the VM driver ns",
            hint="give each VM an address of its own, with --vm-address 198.18.0.0/15",
        )
    return server


def _python_paths() -> tuple[str, ...]:
    """The directories of this Python that a box does not see through its base: those on another disk, or in /tmp."""
    wanted = {sys.prefix, sys.base_prefix, str(Path(deploy.__file__).parent.parent)}
    base = Path(_BASE).stat().st_dev
    return tuple(sorted(path for path in wanted if Path(path).stat().st_dev != base or path.startswith("/tmp/")))


_PYTHON = _python_paths()
