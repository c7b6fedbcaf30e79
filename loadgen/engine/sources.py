"""Addresses of this machine to connect from."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable

from loadgen.model.errors import FleetError


def sources_by_family(sources: Iterable[str]) -> dict[int, list[str]]:
    """`sources` by address family, in order.

    Raises FleetError when one is no address, or none of this machine: each is bound once, to see.
    """
    found: dict[int, list[str]] = {}
    for source in sources:
        try:
            version = ipaddress.ip_address(source).version
        except ValueError:
            raise FleetError(f"the source address {source!r} is not an IP address") from None
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.bind((source, 0))
        except OSError as error:
            ours = error.errno not in (errno.EADDRNOTAVAIL, errno.EINVAL)
            why = error.strerror if ours else "it is no address of this machine"
            raise FleetError(f"nothing can be sent from the source address {source}: {why}") from error
        found.setdefault(family, []).append(source)
    return found
