"""The network of a box: its loopback device, a pair of devices to the host, a socket in the host's network."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence

from deploy.box.box import LISTENING_FD, Link, Published
from deploy.box.namespaces import NEWNET, setns
from loadgen.model.errors import TargetError

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8914, 0x8927  # linux/sockios.h
_IFF_UP = 1  # linux/if.h
_IP = "/sbin/ip"
_IP_TIMEOUT_S = 30.0
_BACKLOG = 4096
_PERMANENT = "nud permanent"


def loopback_up() -> None:
    """Switch on the loopback device of this process's network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, asked), 16)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


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
    Raises RuntimeError with the words of `ip`.
    """
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _ip(_inside(link, host), host)
        inner = _hardware_address("eth0")
        setns(host, NEWNET)
        try:
            _ip(outside(link, inner))
            outer = _hardware_address(link.device)
        finally:
            setns(own, NEWNET)
        if link.permanent:
            _ip([f"neigh replace {link.gateway} lladdr {outer} {_PERMANENT} dev eth0"])
    finally:
        os.close(own)


def add_addresses(device: str, addresses: Sequence[str]) -> None:
    """Give a device of this network further addresses, which vanish with it.  Raises TargetError."""
    try:
        _ip([f"addr add {_alone(address)} dev {device}" for address in addresses])
    except (OSError, RuntimeError) as error:
        raise TargetError(f"the addresses to ask VMs from cannot be made: {error}") from error


def route_to_all(link: Link, host: int) -> None:
    """Make a pair of devices like :func:`connect`; `link.address` is a network, and this namespace has all of it."""
    loopback_up()
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _ip(
            [
                f"link add eth0 type veth peer name {link.device} netns /proc/self/fd/{host}",
                "link set eth0 up",
                f"route add local {link.address} dev lo",
                f"route add {link.gateway} dev eth0",
            ],
            host,
        )
        setns(host, NEWNET)
        try:
            _ip(
                [
                    f"addr add {_alone(link.gateway)} dev {link.device}",
                    f"link set {link.device} up",
                    f"route add {link.address} dev {link.device} src {link.gateway}",
                ]
            )
        finally:
            setns(own, NEWNET)
    finally:
        os.close(own)


def _inside(link: Link, host: int) -> Iterator[str]:
    yield f"link add eth0 type veth peer name {link.device} netns /proc/self/fd/{host}"
    yield f"addr add {_alone(link.address)} dev eth0"
    yield "link set eth0 up"
    yield f"route add {link.gateway} dev eth0"
    yield f"route add default via {link.gateway} dev eth0"


def outside(link: Link, inner: str) -> Iterator[str]:
    """The commands of `ip` that configure the host's end; `inner` is the hardware address of the other end."""
    yield f"addr add {_alone(link.gateway)} dev {link.device}"
    yield f"link set {link.device} up"
    yield f"route add {link.address} dev {link.device} src {link.gateway}"
    if link.permanent:
        yield f"neigh replace {link.address} lladdr {inner} {_PERMANENT} dev {link.device}"


def _alone(address: str) -> str:
    """An address without a network around it, usable at once."""
    return f"{address}/128 nodad" if ":" in address else f"{address}/32"


def _hardware_address(device: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, struct.pack("16s24x", device.encode()))
    return answer[18:24].hex(":")


def _ip(commands: Iterable[str], *descriptors: int) -> None:
    """Run commands of `ip` in this process's network namespace."""
    done = subprocess.run(
        [_IP, "-batch", "-"],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        pass_fds=descriptors,
        timeout=_IP_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"ip: {done.stderr.strip().splitlines()[0] if done.stderr.strip() else done.returncode}")
