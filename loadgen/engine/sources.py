"""Checks the addresses of this machine that connections are to be made from."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable

from loadgen.model.errors import FleetError

IP_BIND_ADDRESS_NO_PORT = 24  # ip(7): bind the address now, and let connect choose the port


def sources_by_family(sources: Iterable[str]) -> dict[int, list[str]]:
    """`sources` by address family, each in the given order.

    Raises FleetError when one is not an IP address, or does not belong to this machine: each is bound once to find out.
    """
    found: dict[int, list[str]] = {}
    for source in sources:
        try:
            version = ipaddress.ip_address(source).version
        except ValueError:
            raise FleetError(f"source address {source!r} is not an IP address") from None
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)  # all ports may be in use
                sock.bind((source, 0))
        except OSError as error:
            foreign = error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL)
            why = "it is not an address of this machine" if foreign else error.strerror
            raise FleetError(f"cannot connect from source address {source}: {why}") from error
        found.setdefault(family, []).append(source)
    return found
