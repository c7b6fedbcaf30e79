"""Opening the client's side of a TCP connection, without waiting, and the meaning of failures."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

from loadgen.engine.resolve import Address
from loadgen.engine.sources import IP_BIND_ADDRESS_NO_PORT
from loadgen.model.outcome import Outcome

_PACED_BUFFER_BYTES = 8_192  # small, so that unread bytes of a reply stay in the server's send buffer
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EADDRINUSE})


def dial(address: Address, sources: Sequence[str], turn: int, *, paced: bool) -> socket.socket:
    """A non-blocking socket whose connect to `address` has begun; it may still fail later.

    `sources` are local addresses to connect from (none leaves the choice to the kernel): number `turn`, counted round,
    or the first one after it that has a port left to `address`.  `paced` keeps the kernel's receive buffer small.
    Raises OSError when the connect fails at once.
    """
    if not sources:
        return _dial_from(None, address, paced=paced)
    for step in range(len(sources) - 1):
        try:
            return _dial_from(sources[(turn + step) % len(sources)], address, paced=paced)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
    return _dial_from(sources[(turn - 1) % len(sources)], address, paced=paced)


def _dial_from(source: str | None, address: Address, *, paced: bool) -> socket.socket:
    family, remote = address
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if paced:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PACED_BUFFER_BYTES)
        if source is not None:
            sock.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        error = sock.connect_ex(remote)
        if error and error != errno.EINPROGRESS:
            raise OSError(error, os.strerror(error))
    except OSError:
        sock.close()
        raise
    return sock


def connect_outcome(error: OSError) -> Outcome:
    """The outcome of an operation whose connect failed with `error`."""
    if error.errno in _LOCAL:
        return Outcome.LOCAL_LIMIT
    return Outcome.REFUSED if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET) else Outcome.UNREACHABLE
