"""Resolves the host names of targets to the socket addresses that connections use."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from loadgen.host.links import NEEDS_SCOPE, how_to_scope, is_unscoped
from loadgen.measure.events import AddressUse
from loadgen.model.errors import TargetError
from loadgen.model.sending import IpVersion, Resolve
from loadgen.model.target import Target

_TRY_S = 1.0  # how long the addresses of a name with several may take to accept a connection
_TRIED_AT_ONCE = 200  # each needs a descriptor
_LOOK_UPS_AT_ONCE = 32

Address = tuple[int, tuple[str, int] | tuple[str, int, int, int]]
"""(address family, socket address)."""

_FAMILIES = {IpVersion.ANY: socket.AF_UNSPEC, IpVersion.V4: socket.AF_INET, IpVersion.V6: socket.AF_INET6}
_NOT_KNOWN = (socket.EAI_NONAME, socket.EAI_NODATA, getattr(socket, "EAI_ADDRFAMILY", socket.EAI_NONAME))


@dataclass(frozen=True, slots=True)
class Ways:
    """The addresses of a target: those that its connections use in turn, and others that its name has."""

    used: tuple[Address, ...]
    unused: tuple[Address, ...] = ()

    def of(self, connection: int) -> Address:
        """The address that a connection, by its global number, uses."""
        return self.used[connection % len(self.used)]


def look_up(target: Target, version: IpVersion = IpVersion.ANY) -> list[Address]:
    """The addresses of a target's host, each once, in the resolver's order.  May take as long as the resolver's
    time-outs.  Raises TargetError that says why there is none.
    """
    host = target.host
    try:
        found = socket.getaddrinfo(host, target.port, _FAMILIES[version], socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        raise TargetError(f"{target.name}: {_why_not(host, error, version)}", hint=_hint(version)) from error
    addresses = [(int(family), address) for family, _, _, _, address in found if not is_unscoped(address)]
    if not addresses:
        raise TargetError(f"{target.name}: {host!r} {NEEDS_SCOPE}", hint=how_to_scope(found[0][4]))
    return list(dict.fromkeys(addresses))  # type: ignore[arg-type]  # AF_INET and AF_INET6 only


def resolve(targets: Sequence[Target], which: Resolve, version: IpVersion) -> list[Ways]:
    """The addresses of each target.  Of a name with several, those that do not accept a connection now are not used.

    Raises TargetError if a host has none.
    """
    if len(targets) > 1:
        with ThreadPoolExecutor(min(_LOOK_UPS_AT_ONCE, len(targets))) as pool:
            found = list(pool.map(lambda target: look_up(target, version), targets))
    else:
        found = [look_up(target, version) for target in targets]
    in_doubt = {address: None for addresses in found if len(addresses) > 1 for address in addresses}
    answering = _answering(in_doubt)
    return [_ways(addresses, answering, which) for addresses in found]


def uses(
    targets: Sequence[Target], ways: Sequence[Ways], connections: Iterable[tuple[int, int]]
) -> tuple[AddressUse, ...]:
    """The addresses of targets whose names have several, with the number of `connections` (number, target) to each."""
    several = {index for index, one in enumerate(ways) if len(one.used) + len(one.unused) > 1}
    if not several:
        return ()
    counts = Counter((target, ways[target].of(number)) for number, target in connections if target in several)
    return tuple(
        AddressUse(targets[index].name, _text(address), counts[index, address])
        for index in sorted(several)
        for address in (*ways[index].used, *ways[index].unused)
    )


def _text(address: Address) -> str:
    host = address[1][0]
    scope = address[1][3] if len(address[1]) == 4 else 0
    return f"{host}%{scope}" if scope and "%" not in host else host


def _ways(addresses: list[Address], answering: set[Address], which: Resolve) -> Ways:
    good = [address for address in addresses if address in answering] or addresses[:1]
    used = good[:1] if which is Resolve.FIRST else sorted(good)  # sorted: engines may get them in different orders
    return Ways(used=tuple(used), unused=tuple(address for address in addresses if address not in used))


def _answering(addresses: Iterable[Address]) -> set[Address]:
    """The addresses that accept a connection: a server may not listen on all addresses of its name."""
    left, found = list(addresses), set[Address]()
    while left:
        found |= _accepting(left[:_TRIED_AT_ONCE])
        del left[:_TRIED_AT_ONCE]
    return found


def _accepting(addresses: Sequence[Address]) -> set[Address]:
    poller, waiting, found = select.poll(), dict[int, tuple[socket.socket, Address]](), set[Address]()
    with contextlib.ExitStack() as stack:
        for family, address in addresses:
            with contextlib.suppress(OSError):  # a machine may have no IPv6
                sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
                error = sock.connect_ex(address)
                if error == errno.EINPROGRESS:
                    waiting[sock.fileno()] = (sock, (family, address))
                    poller.register(sock, select.POLLOUT)
                elif not error:
                    found.add((family, address))
        deadline_s = time.monotonic() + _TRY_S
        while waiting and (left_s := deadline_s - time.monotonic()) > 0:
            for fd, _ in poller.poll(left_s * 1000):
                sock, candidate = waiting.pop(fd)
                poller.unregister(fd)
                if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    found.add(candidate)
    return found


def _why_not(host: str, error: OSError | UnicodeError, version: IpVersion) -> str:
    if not isinstance(error, OSError):
        return f"{host!r} is not a valid host name"
    zone = host.partition("%")[2] if ":" in host else ""
    if zone and not zone.isdecimal() and zone not in (name for _, name in socket.if_nameindex()):
        return f"this machine has no network interface {zone!r}"
    if error.errno == socket.EAI_AGAIN:
        return f"{host!r} cannot be resolved: the name servers do not answer"
    if error.errno in _NOT_KNOWN and version is not IpVersion.ANY:
        return f"{host!r} has no IPv{version.value} address"
    return f"{host!r} cannot be resolved: {(error.strerror or str(error)).lower()}"


def _hint(version: IpVersion) -> str:
    return "" if version is IpVersion.ANY else f"-{version.value} allows only addresses of IPv{version.value}"
