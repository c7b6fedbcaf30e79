"""The network of a box: its loopback device, a pair of devices to the host, a socket in the host's network."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

from deploy.box.box import LISTENING_FD, Link, Published
from deploy.box.namespaces import NEWNET, setns
from deploy.box.netlink import (
    Address,
    Network,
    add_address,
    add_neighbour,
    add_route,
    add_veth,
    send,
    switch_on,
)
from loadgen.model.errors import TargetError

_INSIDE = "eth0"
_BACKLOG = 4096


def loopback_up() -> None:
    """Switch on the loopback device of this process's network namespace.  Raises OSError."""
    send([switch_on("lo")])


def listen(published: Published) -> None:
    """Listen on a port of this network as descriptor :data:`LISTENING_FD`, which programs inherit.  Raises OSError."""
    family = socket.AF_INET6 if ":" in published.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((published.host, published.port))
        made.listen(_BACKLOG)
        if made.fileno() == LISTENING_FD:
            made.set_inheritable(True)
            made.detach()
        else:
            os.dup2(made.fileno(), LISTENING_FD, inheritable=True)


def connect(link: Link, host: int) -> None:
    """Make a pair of devices and configure both ends; `host` is a descriptor of the host's network namespace.

    The box has one address and reaches everything else through the host's end; the host has a route to that address.
    Both neighbours are entered for good: the kernel's table of neighbours, which all namespaces share, has 1024 entries
    by default (`gc_thresh3`), and permanent ones do not count.  Raises OSError.
    """
    own, far = ip_address(link.address), ip_address(link.gateway)
    own_hardware, far_hardware = _add_pair(link.device, host)
    send(
        [
            add_address(_INSIDE, own),
            switch_on(_INSIDE),
            add_route(ip_network(far), _INSIDE),
            add_route(_all(far), _INSIDE, via=far),
            add_neighbour(_INSIDE, far, far_hardware),
        ]
    )
    with _in_network(host):
        send(
            [
                add_address(link.device, far),
                switch_on(link.device),
                add_route(ip_network(own), link.device, source=far),
                add_neighbour(link.device, own, own_hardware),
            ]
        )


def add_addresses(device: str, addresses: Sequence[str]) -> None:
    """Give a device of this network further addresses, which vanish with it.  Raises TargetError."""
    try:
        send([add_address(device, ip_address(address)) for address in addresses])
    except OSError as error:
        raise TargetError(f"the addresses to ask VMs from cannot be made: {error.strerror}") from error


def route_to_all(link: Link, host: int) -> None:
    """Make a pair of devices like :func:`connect`; `link.address` is a network, and this namespace has all of it.

    The host's route leads through one neighbour, the last address of the network.  Otherwise each address that is
    asked before its VM is there would take an entry of the kernel's table of neighbours.
    """
    loopback_up()
    network, far = ip_network(link.address), ip_address(link.gateway)
    own_hardware, far_hardware = _add_pair(link.device, host)
    send(
        [
            switch_on(_INSIDE),
            add_route(network, "lo", local=True),
            add_route(ip_network(far), _INSIDE),
            add_neighbour(_INSIDE, far, far_hardware),
        ]
    )
    with _in_network(host):
        send(
            [
                add_address(link.device, far),
                switch_on(link.device),
                add_neighbour(link.device, network[-1], own_hardware),
                add_route(network, link.device, via=network[-1], source=far),
            ]
        )


def hardware_address(name: str) -> bytes:
    """A hardware address of the range for local use (02:...), derived from a name."""
    return b"\x02" + hashlib.blake2b(name.encode(), digest_size=5).digest()


def _add_pair(device: str, host: int) -> tuple[bytes, bytes]:
    """Make a pair of devices; returns the hardware addresses of the end here and of the host's."""
    own, far = hardware_address(f"{device}/{_INSIDE}"), hardware_address(device)
    send([add_veth(_INSIDE, own, device, far, host)])
    return own, far


def _all(like: Address) -> Network:
    """All addresses of an IP version."""
    return ip_network("::/0" if like.version == 6 else "0.0.0.0/0")


@contextlib.contextmanager
def _in_network(descriptor: int) -> Iterator[None]:
    """Inside the context, this thread is in the network namespace of a descriptor."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(descriptor, NEWNET)
        try:
            yield
        finally:
            setns(own, NEWNET)
    finally:
        os.close(own)


def outside(link: Link, inner: str) -> Iterator[str]:
    """The commands of `ip` that configure the host's end; `inner` is the hardware address of the other end."""
    yield f"addr add {_alone(link.gateway)} dev {link.device}"
    yield f"link set {link.device} up"
    yield f"route add {link.address} dev {link.device} src {link.gateway}"
    yield f"neigh replace {link.address} lladdr {inner} nud permanent dev {link.device}"


def _alone(address: str) -> str:
    """An address without a network around it, usable at once."""
    return f"{address}/128 nodad" if ":" in address else f"{address}/32"
