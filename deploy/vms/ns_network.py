"""The addresses of VMs of the driver `ns`, and the guard that answers for VMs that have ended."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass

from deploy.box.box import Link
from deploy.box.network import route_to_all
from deploy.lab.namespace import Namespace
from loadgen.model.addresses import vm_addresses
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.units import counted

_GONE_S = 20.0
_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class RoutedNetwork:
    """A network of this machine's own, in which each VM has an address."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    count: int
    prefix: str
    """The beginning of the names of this run's devices."""

    @classmethod
    def of(cls, text: str, count: int) -> RoutedNetwork:
        """The network with that text, such as 198.18.0.0/15.  Raises PlanError when it has too few addresses."""
        return cls(ipaddress.ip_network(text), count, f"lg{secrets.token_hex(3)}v")

    @property
    def gateway(self) -> str:
        """The host's address on all links."""
        return str(self.network[1])

    def links(self) -> tuple[Link, ...]:
        """The link of each VM, in order."""
        return tuple(
            Link(device=f"{self.prefix}{number}", address=address, gateway=self.gateway)
            for number, address in enumerate(vm_addresses(str(self.network), self.count), start=1)
        )

    def spare(self, count: int) -> tuple[str, ...]:
        """Up to `count` addresses that no VM has, from the end of the network."""
        used = 2 + self.count  # the network's own, the gateway's, those of VMs
        free = max(0, min(count, self.network.num_addresses - used - 1))  # the last one is for broadcasts
        return tuple(str(self.network[-2 - number]) for number in range(free))

    async def wait_until_gone(self) -> None:
        """Wait until the kernel has removed all devices, at most 20 s.  Raises TargetError when some stay.

        It does so some time after the namespaces have ended.  Until then, the routes are in use, and the next run with
        this network would be refused.
        """
        for _ in range(round(_GONE_S / _AGAIN_S)):
            if not self._devices():
                return
            await asyncio.sleep(_AGAIN_S)
        left = self._devices()
        raise TargetError(
            f"the kernel has not removed {counted(len(left), 'network device')} of the VMs within {_GONE_S:g} s: "
            f"{', '.join(left)}",
            hint=f"until they are gone, {self.network} is in use; as root: "
            + "; ".join(f"ip link delete {name}" for name in left),
        )

    def _devices(self) -> list[str]:
        return [name for _, name in socket.if_nameindex() if name.startswith(self.prefix)]

    def guard(self, ends: ExitStack) -> None:
        """Let a namespace without programs have the whole network, so that a VM that has ended refuses connections.

        Without it, packets to an ended VM would take the default route and leave this machine.  The routes to VMs that
        run are more specific.  The guard ends with `ends`, and with this process.
        """
        namespace = Namespace()
        ends.callback(namespace.close)
        host = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            link = Link(device=f"{self.prefix}0", address=str(self.network), gateway=self.gateway)
            namespace.call(lambda: route_to_all(link, host))
        except OSError as error:
            raise TargetError(f"the network {self.network} cannot be routed to VMs: {error.strerror}") from error
        finally:
            os.close(host)


def check_unused(network: str, routes: str) -> None:
    """Raise PlanError when a route of this machine is inside `network`; `routes` is the output of `ip route`."""
    wanted = ipaddress.ip_network(network)
    for line in routes.splitlines():
        found = next((one for word in line.split()[:2] if (one := _network(word))), None)  # the first may be a type
        if found is not None and found.version == wanted.version and found.overlaps(wanted):
            raise PlanError(
                f"the network {network} is in use on this machine: {line.strip()}",
                hint="choose another private network with --vm-address",
            )


def routes(network: str) -> str:
    """The routes of this machine, of the IP version of `network`."""
    version = "-6" if ":" in network else "-4"
    try:
        done = subprocess.run(["/sbin/ip", version, "route"], capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        raise PlanError("the program ip did not list the routes of this machine within 10 s") from None
    except OSError as error:
        raise PlanError(
            f"addresses for VMs need the program ip: {error.strerror}", hint="install it (Debian: iproute2)"
        ) from None
    return done.stdout


def _network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(word)
    except ValueError:
        return None
