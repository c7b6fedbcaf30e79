"""The addresses that a proxy connects to, and their renewal when a name gets other addresses."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

from loadgen.host.links import NEEDS_SCOPE, how_to_scope, is_unscoped
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.units import NS_PER_S
from loadgen.proxy.api import Upstream

_RENEW_NS = 30 * NS_PER_S  # the shortest time to live that public resolvers use as a rule
_AGAIN_NS = NS_PER_S  # after a failed connect


class Address(NamedTuple):
    """An address to connect to, as socket() and connect() take it."""

    family: int
    sockaddr: tuple[Any, ...]


class Upstreams:
    """The addresses of all upstreams of a proxy.

    Each connection begins with the next upstream in turn, and goes on to the others when a connect fails.  Within an
    upstream, the address that answered last comes first.  Addresses that lead back to `listening` are left out.  Raises
    TargetError when a name is unknown, and PlanError when an upstream leads back to `listening`, or has no address of
    the family of `source`.
    """

    def __init__(self, upstreams: Sequence[Upstream], source: Address | None, listening: Address) -> None:
        self._upstreams = tuple(upstreams)
        self._source = source
        self._listening = listening
        self._turn = 0
        self._renewing = self._failed = False
        self._renewed_ns: int | None = None
        self._addresses = [self._first(one) for one in upstreams]

    def next(self) -> tuple[Address, ...]:
        """The addresses to try for the next connection, in this order."""
        turn = self._turn
        self._turn = (turn + 1) % len(self._addresses)
        if len(self._addresses) == 1:
            return self._addresses[0]
        return tuple(address for one in self._addresses[turn:] + self._addresses[:turn] for address in one)

    def prefer(self, address: Address) -> None:
        """Try `address` first for later connections to its upstream, because it answered."""
        for number, addresses in enumerate(self._addresses):
            if address in addresses and addresses[0] != address:
                self._addresses[number] = (address, *(other for other in addresses if other != address))

    def fail(self) -> None:
        """No address of any upstream could be connected to: resolve the names again soon."""
        self._failed = True

    def begin_renewal(self, now_ns: int) -> bool:
        """Whether the names are to be resolved again now: each 30 s, and soon after a failed connect."""
        if self._renewed_ns is None:
            self._renewed_ns = now_ns
        wait_ns = _AGAIN_NS if self._failed else _RENEW_NS
        if (
            self._renewing
            or now_ns - self._renewed_ns < wait_ns
            or all(_is_literal(one.host) for one in self._upstreams)
        ):
            return False
        self._renewing = True
        return True

    def resolve(self) -> list[tuple[Address, ...]]:
        """The present addresses of each upstream; none where the name is unknown.  Blocks; for a thread of its own."""
        found = []
        for one in self._upstreams:
            addresses: tuple[Address, ...] = ()
            with contextlib.suppress(OSError):
                addresses = look_up(one.host, one.port)
            found.append(self._usable(addresses))
        return found

    def renew(self, found: Sequence[tuple[Address, ...]], now_ns: int) -> None:
        """Take over what :meth:`resolve` found.  An upstream without an address keeps those that it had."""
        self._renewing = self._failed = False
        self._renewed_ns = now_ns
        for number, addresses in enumerate(found):
            if addresses:
                best = self._addresses[number][0]
                first = (best,) if best in addresses else ()
                self._addresses[number] = (*first, *(one for one in addresses if one not in first))

    def _first(self, upstream: Upstream) -> tuple[Address, ...]:
        try:
            addresses = look_up(upstream.host, upstream.port)
        except OSError as error:
            raise TargetError(f"the upstream {upstream.host} is not known: {error.strerror}") from error
        if any(leads_back(self._listening, one) for one in addresses):
            raise PlanError(
                f"a proxy cannot forward to itself: {upstream.host} port {upstream.port} is where it listens",
                hint="listen on another port",
            )
        if all(is_unscoped(one.sockaddr) for one in addresses):
            raise PlanError(f"the upstream {upstream.host} {NEEDS_SCOPE}", hint=how_to_scope(addresses[0].sockaddr))
        usable = self._usable(addresses)
        if not usable:
            raise PlanError(
                f"the upstream {upstream.host} has no address of the source's family", hint="use IPv4 or IPv6 for both"
            )
        return usable

    def _usable(self, addresses: Sequence[Address]) -> tuple[Address, ...]:
        source = self._source
        return tuple(
            one
            for one in addresses
            if (source is None or one.family == source.family) and not leads_back(self._listening, one)
        )


def look_up(host: str, port: int) -> tuple[Address, ...]:
    """All addresses of `host`, each once, in the resolver's order.  Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "not a valid host name") from error
    return tuple(dict.fromkeys(Address(family, sockaddr) for family, _, _, _, sockaddr in found))


def leads_back(listening: Address, upstream: Address) -> bool:
    """Whether a connect to `upstream` reaches the socket that listens at `listening`, in whatever spelling."""
    if listening.sockaddr[1] != upstream.sockaddr[1]:
        return False
    here, there = _ip(listening), _ip(upstream)
    if there.is_unspecified:  # a connect to 0.0.0.0 or :: reaches the loopback address
        there = ipaddress.ip_address("127.0.0.1" if there.version == 4 else "::1")
    if here.is_unspecified:  # :: takes clients of both families
        return (here.version == 6 or there.version == 4) and _is_of_this_machine(there)
    return here == there


def _ip(address: Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address itself; an IPv4 address that is written as IPv6 (::ffff:192.0.2.1) as IPv4."""
    found = ipaddress.ip_address(address.sockaddr[0].partition("%")[0])
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def _is_of_this_machine(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((str(address), 0))
    except OSError:
        return False
    return True


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
