"""The driver `qemu`: each web server in a virtual machine with a kernel of its own (:mod:`deploy.guest`).

A VM serves at a published port of this machine, through QEMU's user network, or as root at an address of its own.
Where no guest starts with KVM, QEMU emulates the CPU: then VMs show that everything works, and measure nothing.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.counters.place import VmPlace
from deploy.footprint import pss_bytes
from deploy.guest.boot import DOCROOT, WORKDIR, initramfs
from deploy.guest.disk import make_disk
from deploy.guest.kernel import Kernel, find_kernel
from deploy.guest.machine import KVM, TCG, Machine, Qemu, command, find_qemu, pid_file
from deploy.guest.probe import why_no_kvm
from deploy.guest.qmp import ask
from deploy.guest.root import make_server_disk
from deploy.servers.base import Vm, WebServer
from deploy.servers.catalog import choose
from deploy.shield import to_its_end
from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import BaseDeployment, vm_names
from deploy.vms.ns_network import check_unused, routes
from deploy.vms.processes import Processes
from deploy.vms.qemu_network import Network, choose_network, netdev
from deploy.vms.setup import last_log_lines
from deploy.wire import Launch
from loadgen.host.processes import parse_stat
from loadgen.host.scheduler import scheduler
from loadgen.model.addresses import is_network
from loadgen.model.emulated import EMULATED
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.limits import VmLimits
from loadgen.model.target import Target
from loadgen.model.units import format_size

_LEAST_MEMORY_BYTES = 128 << 20
_MEMORY_BYTES = 256 << 20
_MOST_VCPUS = 288  # of QEMU's microvm
_LONGEST_SOCKET_PATH_BYTES = 107  # sun_path of unix(7)
_GRANTED = frozenset({"cpus", "memory_bytes"})

_EMULATED_FACTOR = 16.0
"""Emulation makes a start that much slower; VMs beyond the number of CPUs wait for others."""


class QemuDriver:
    """A :class:`deploy.vms.api.VmDriver` that starts web servers in virtual machines."""

    starts_servers = True

    def prepare(self, request: VmRequest) -> QemuVms:
        """VMs that run the requested web server.

        Raises PlanError when QEMU, a kernel or the server is not installed, and for a limit or an address that a VM
        cannot have.
        """
        qemu = find_qemu(os.uname().machine)
        kernel = find_kernel()
        check_limits(request.limits)
        network = choose_network(request)
        if is_network(request.address):
            check_unused(request.address, routes(request.address))
        return QemuVms(qemu, kernel, choose(request.server), network, request)


class QemuVms(BaseDeployment):
    """The VMs of one request, one for each of its document roots."""

    def __init__(self, qemu: Qemu, kernel: Kernel, server: WebServer, network: Network, request: VmRequest) -> None:
        super().__init__(request, VmFacts(driver="qemu", server=server.kind.value, version=server.version, config=""))
        self._qemu = qemu
        self._kernel = kernel
        self._server = server
        self._network = network
        self._processes = Processes(vm_names(request.count), self.died)

    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        """Start all VMs; `facts` is complete afterwards, and `notices` says if the VMs are emulated."""
        names = vm_names(self.request.count)
        with ExitStack() as held:
            connections = self._network.connections(ends, held)
            directory = await self._processes.open(ends)
            controls = [_control(directory / name) for name in names]
            try:
                initrd = await to_its_end(asyncio.to_thread(self._first_files, directory))
                no_kvm = await why_no_kvm(self._qemu, self._kernel, initrd)
                disks = await to_its_end(asyncio.to_thread(self._disks, directory))
                netdevs = [netdev(one, directory / name) for one, name in zip(connections, names, strict=True)]
            except OSError as error:
                raise TargetError(f"{directory} cannot be written: {error.strerror or error}") from error
            machine = self._machine(TCG if no_kvm else KVM)
            if no_kvm:
                self._emulate(no_kvm)
            for name, one, device, own, control in zip(names, connections, netdevs, disks, controls, strict=True):
                machine = replace(machine, disks=own, network=device, mac=one.mac)
                words = {"lg_name": name, **one.words}
                program = ("qemu", *command(self._qemu, self._kernel, initrd, machine, words, control))
                self._processes.launch([Launch(vm=name, directory=str(directory / name), program=program)])
            targets = tuple(
                Target(name=n, host=one.host, port=one.port) for n, one in zip(names, connections, strict=True)
            )
            await self.wait_until_serving(targets, lambda name: last_log_lines(directory / name))
            details = await self._details(controls[0], emulated=bool(no_kvm))
            started = {name: use_of(pid_file(control)) for name, control in zip(names, controls, strict=True)}
            self.facts = replace(self.facts, details={**details, "started": started})
            return targets

    def places(self) -> Mapping[str, VmPlace]:
        """The QEMU of each VM; what happens inside of the VM is counted by the VM's own kernel."""
        return {one.name: VmPlace(pids=self._processes.pids(one.name)) for one in self.targets}

    def _machine(self, accelerator: str) -> Machine:
        limits = self.request.limits
        return Machine(
            accelerator=accelerator,
            vcpus=round(limits.cpus or 1),
            memory_bytes=limits.memory_bytes or _MEMORY_BYTES,
        )

    def _emulate(self, why: str) -> None:
        """Note that the VMs are emulated, and why, and wait longer for them."""
        self.notices = (f"the VMs are {EMULATED} (KVM cannot be used: {why})",)
        self.ready_s *= _EMULATED_FACTOR * math.ceil(self.request.count / len(os.sched_getaffinity(0)))

    def _first_files(self, directory: Path) -> Path:
        for name in vm_names(self.request.count):
            (directory / name).mkdir()
        initrd = directory / "initrd"
        initrd.write_bytes(initramfs(self._kernel))
        return initrd

    def _disks(self, directory: Path) -> list[tuple[Path, Path]]:
        """The disks of each VM: one for all with the server, and one for each document root."""
        vm = Vm(
            name="vm",
            host=self._network.inner_host,
            port=self._network.inner_port,
            connections=self.request.connections,
            docroot=DOCROOT,
            workdir=WORKDIR,
        )
        setup = self._server.setup(vm)
        self.facts = replace(self.facts, config=setup.config)
        root = make_server_disk(setup, self.request.app, directory)
        found: dict[Path, Path] = {}
        for docroot in self.request.docroots:
            if docroot not in found:
                found[docroot] = directory / f"docroot{len(found)}.img"
                make_disk(docroot, found[docroot])
        return [(root, found[docroot]) for docroot in self.request.docroots]

    async def _details(self, control: Path, *, emulated: bool) -> Mapping[str, Any]:
        """What QEMU says of its first VM."""
        vcpus, memory = await ask(control, "query-cpus-fast", "query-memory-size-summary")
        return {
            "base": "files of this machine",
            "network": str(self._network),
            "limits": {"cpus": len(vcpus), "memory_bytes": memory["base-memory"]},
            "scheduler": scheduler(),
            "machine": f"QEMU {self._qemu.version} microvm, kernel {self._kernel.release}",
            "accelerator": TCG if emulated else KVM,
            "emulated": emulated,
        }


def use_of(pid_file: Path) -> Mapping[str, int]:
    """The proportional memory of a QEMU, and its CPU time up to now, with that of its VM; empty if it has ended."""
    try:
        process = Path("/proc") / pid_file.read_text().strip()
        stat = (process / "stat").read_text(errors="replace")
        return {"pss_bytes": pss_bytes(process), "cpu_ns": parse_stat(stat).cpu_ns}
    except (OSError, ValueError):
        return {}


def check_limits(limits: VmLimits) -> None:
    """Raise PlanError for a limit that a virtual machine cannot have."""
    if limits.cpus is not None and (limits.cpus != round(limits.cpus) or not 1 <= limits.cpus <= _MOST_VCPUS):
        raise PlanError(
            f"the VM driver qemu gives VMs 1 to {_MOST_VCPUS} whole CPUs, got {limits.cpus:g}",
            hint="give a whole number with --vm-cpus, or use --vm-driver ns",
        )
    if limits.memory_bytes is not None and limits.memory_bytes < _LEAST_MEMORY_BYTES:
        raise PlanError(
            f"a VM of the driver qemu needs at least {format_size(_LEAST_MEMORY_BYTES)} of memory for its kernel and "
            f"server, got {format_size(limits.memory_bytes)}",
            hint="give more with --vm-memory, or use --vm-driver ns",
        )
    refused = [name for name in limits.given if name not in _GRANTED]
    if refused:
        raise PlanError(
            f"the VM driver qemu cannot limit {', '.join(refused)}: VMs get CPUs and memory only",
            hint="leave out these limits, or use --vm-driver ns",
        )


def _control(directory: Path) -> Path:
    """The socket of a VM for QMP.  Raises PlanError when its path is too long."""
    path = directory / "qmp"
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH_BYTES:
        raise PlanError(
            f"the path of a unix socket may have at most {_LONGEST_SOCKET_PATH_BYTES} bytes, but {path} has more",
            hint="set TMPDIR to a directory with a shorter path",
        )
    return path
