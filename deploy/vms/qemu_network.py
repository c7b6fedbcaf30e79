"""The networks of VMs under QEMU: ports of this machine that QEMU publishes, or as root a device for each VM."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deploy.box.box import Link
from deploy.box.network import outside
from deploy.guest.machine import escaped
from deploy.vms.api import VmRequest
from deploy.vms.ns_network import RoutedNetwork
from deploy.vms.ports import Reservation
from loadgen.model.addresses import is_network
from loadgen.model.errors import PlanError

_HTTP_PORT = 80
_TUN = Path("/dev/net/tun")

# The addresses of QEMU's user network; each VM is alone in its own.
_INNER, _INNER_PREFIX, _INNER_GATEWAY = "10.0.2.15", 24, "10.0.2.2"

_UP = """\
#!/bin/sh
exec /sbin/ip -batch - <<END
{commands}
END
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The connection of one VM: where it is reached, its words for the guest, and its device for QEMU."""

    host: str
    port: int
    words: Mapping[str, str]
    netdev: str
    mac: str
    script: str = ""
    """The script that QEMU runs when it has made the device; "" for none."""


class Network(Protocol):
    """A network for the VMs of one deployment."""

    @property
    def inner_host(self) -> str:
        """The address on which servers listen in the VMs."""

    @property
    def inner_port(self) -> int:
        """The port on which servers listen in the VMs."""

    def connections(self, ends: AsyncExitStack, held: ExitStack) -> list[Connection]:
        """The connection of each VM.  What has to be there until all VMs serve is put on `held`."""


@dataclass(frozen=True, slots=True)
class PublishedPorts:
    """QEMU's user network: needs no rights.  A VM reaches nothing outside of itself."""

    request: VmRequest
    inner_host: str = "0.0.0.0"
    inner_port: int = _HTTP_PORT

    def __str__(self) -> str:
        return "published ports of QEMU's user network"

    def connections(self, ends: AsyncExitStack, held: ExitStack) -> list[Connection]:
        """Reserve the ports, which QEMU then takes."""
        request = self.request
        ports = held.enter_context(Reservation(request.address, request.count, request.base_port))
        words = {"lg_address": f"{_INNER}/{_INNER_PREFIX}", "lg_gateway": _INNER_GATEWAY}
        forward = f"-{_INNER}:{self.inner_port}"
        return [
            Connection(
                host=ports.address,
                port=port,
                words=words,
                netdev=f"user,id=net,restrict=on,ipv6=off,hostfwd=tcp:{ports.address}:{port}{forward}",
                mac=_mac(number),
            )
            for number, port in enumerate(ports.ports)
        ]


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """A TAP device for each VM, which the kernel removes when its QEMU ends, and a route to it."""

    request: VmRequest

    def __str__(self) -> str:
        return f"addresses of {self.request.address}"

    @property
    def inner_host(self) -> str:
        """The address on which servers listen in the VMs: all of the network's IP version."""
        return "::" if ":" in self.request.address else "0.0.0.0"

    @property
    def inner_port(self) -> int:
        """The port on which servers listen in the VMs, which is the published one."""
        return self.request.base_port or _HTTP_PORT

    def connections(self, ends: AsyncExitStack, held: ExitStack) -> list[Connection]:
        """Make the guard of the network (:meth:`RoutedNetwork.guard`); the devices are made by each QEMU."""
        network = RoutedNetwork.of(self.request.address, self.request.count)
        ends.push_async_callback(network.wait_until_gone)
        guard = ExitStack()
        ends.callback(guard.close)
        network.guard(guard)
        return [self._connection(number, link) for number, link in enumerate(network.links())]

    def _connection(self, number: int, link: Link) -> Connection:
        alone = 128 if ":" in link.address else 32
        mac = _mac(number)
        return Connection(
            host=link.address,
            port=self.inner_port,
            words={"lg_address": f"{link.address}/{alone}", "lg_gateway": link.gateway},
            netdev=f"tap,id=net,ifname={link.device},downscript=no,script=",
            mac=mac,
            script=_UP.format(commands="\n".join(outside(link, mac))),
        )


def netdev(connection: Connection, directory: Path) -> str:
    """The value of QEMU's option -netdev; writes the script, if there is one, to `directory`.  Raises OSError."""
    if not connection.script:
        return connection.netdev
    path = directory / "up"
    path.write_text(connection.script)
    path.chmod(0o700)
    return connection.netdev + escaped(path)


def choose_network(request: VmRequest) -> PublishedPorts | OwnAddresses:
    """The network for a request.  Raises PlanError when this user or QEMU cannot make it."""
    if is_network(request.address):
        if os.geteuid() != 0:
            raise PlanError(
                "addresses for VMs of the driver qemu need root, to make network devices",
                hint="run loadgen as root, or leave out --vm-address: published ports need no rights",
            )
        if not _TUN.exists():
            raise PlanError(f"addresses for VMs of the driver qemu need {_TUN}", hint="load the module: modprobe tun")
        return OwnAddresses(request)
    if isinstance(_address(request.address), ipaddress.IPv6Address):
        raise PlanError(
            f"QEMU's user network cannot publish ports at the IPv6 address {request.address}",
            hint="give an IPv4 address of this machine with --vm-address, or as root a network",
        )
    return PublishedPorts(request)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _mac(number: int) -> str:
    """An address from the range of QEMU; each VM has a link of its own, so other runs may have the same."""
    return f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
