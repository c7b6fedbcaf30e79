"""Link-local addresses (IPv6), which are valid on one link only: an interface is part of the address (fe80::1%eth0)."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from typing import Any


def is_unscoped(address: Any) -> bool:
    """Whether an address of getaddrinfo is link-local without an interface (or with one that does not exist)."""
    return len(address) == 4 and not address[3] and is_link_local(address[0])


def is_link_local(host: str) -> bool:
    """Whether a host is a link-local address of IPv6, with an interface or without."""
    return ":" in host and ipaddress.ip_address(host.partition("%")[0]).is_link_local


def how_to_scope(address: Any) -> str:
    """What to write instead of an address without an interface."""
    here = ", ".join(name for _, name in socket.if_nameindex())
    return f"write it like {address[0]}%eth0; the interfaces here are {here}"


NEEDS_SCOPE = "is a link-local address, which needs the name of an interface"


async def connect(sock: socket.socket, address: Any) -> None:
    """Connect a socket of TCP to an address.  Raises OSError.

    The event loop does not connect: uvloop drops the interface of a link-local address.
    """
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(address)
        return
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(sock.fileno(), done.set)
    try:
        await done.wait()
    finally:
        loop.remove_writer(sock.fileno())
    if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))
