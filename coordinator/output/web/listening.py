"""Where pages and metrics are served: addresses of this machine, and the sockets that listen there."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass

from loadgen.model.address import LOOPBACK, format_address, parse_own_address
from loadgen.model.errors import PlanError

_NAMES_OF_LOOPBACK = {LOOPBACK, "localhost"}
_ALL = {"0.0.0.0", "::"}
_BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port as the user gave them to `option`; port 0 stands for any free port."""

    option: str
    host: str
    port: int

    def __str__(self) -> str:
        return format_address(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that listens at an address.  `asked` is what the user gave."""

    asked: Address
    socket: socket.socket

    @property
    def host(self) -> str:
        """The address as a number."""
        host: str = self.socket.getsockname()[0]
        return host

    @property
    def port(self) -> int:
        """The port, also when any free one was asked for."""
        port: int = self.socket.getsockname()[1]
        return port

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback

    @property
    def shown(self) -> str:
        """HOST:PORT for a URL: what the user gave; this machine's name for an address that stands for all."""
        everywhere = ipaddress.ip_address(self.host.partition("%")[0]).is_unspecified
        return format_address(socket.gethostname() if everywhere else self.asked.host, self.port)


def parse_listen(text: str, option: str) -> Address:
    """The address of a text like `127.0.0.1:8089`; without a host, as in `:8089`, on loopback.  Raises PlanError."""
    return Address(option, *parse_own_address(text))


def check_apart(one: Address | None, other: Address | None) -> None:
    """Raises PlanError when two options ask for the same port of an address."""
    if one is None or other is None or not one.port or one.port != other.port:
        return
    hosts = {one.host.lower(), other.host.lower()}
    if len(hosts) == 1 or hosts & _ALL or hosts <= _NAMES_OF_LOOPBACK:
        raise PlanError(
            f"{one.option} and {other.option} cannot both listen at port {one.port}",
            hint=f"give {other.option} another port, or port 0 for any free one",
        )


def listen(address: Address) -> Listening:
    """Listen at the address.  Raises PlanError, in one line, when that is not possible."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise PlanError(
            f"{address.option}: {address.host!r} is not an address of this machine: {why}",
            hint=f"{LOOPBACK}:{address.port} serves this machine only",
        ) from error
    failed: OSError | None = None
    for family, kind, protocol, _, where in found:
        try:
            return Listening(address, _bound(family, kind, protocol, where))
        except OSError as error:
            failed = failed or error
    assert failed is not None  # getaddrinfo() returns one address at least
    raise _refused(address, failed) from failed


def _bound(family: int, kind: int, protocol: int, where: object) -> socket.socket:
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)  # type: ignore[arg-type]  # as getaddrinfo() returned it
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _refused(address: Address, error: OSError) -> PlanError:
    match error.errno:
        case errno.EADDRINUSE:
            return PlanError(
                f"{address.option}: another process listens at {address}",
                hint="choose another port, or port 0 for any free one",
            )
        case errno.EADDRNOTAVAIL:
            return PlanError(
                f"{address.option}: {address.host} is not an address of this machine",
                hint=f"{LOOPBACK}:{address.port} serves this machine only, 0.0.0.0:{address.port} all networks",
            )
        case errno.EACCES:
            return PlanError(
                f"{address.option}: port {address.port} needs the rights of root", hint="choose a port from 1024 on"
            )
    return PlanError(f"{address.option}: cannot listen at {address}: {error.strerror}", hint="choose another address")
