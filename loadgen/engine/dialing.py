"""Opening the client's side of a TCP connection, without waiting, and the meaning of failures."""

from __future__ import annotations

import errno
import os
import socket

from loadgen.engine.resolve import Address
from loadgen.model.outcome import Outcome

_IP_BIND_ADDRESS_NO_PORT = 24  # ip(7): bind the address now, and let connect choose the port
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EADDRINUSE})


def dial(address: Address, source: str | None, receive_buffer_bytes: int) -> socket.socket:
    """A non-blocking socket whose connect to `address` has begun; it may still fail later.

    `source` is the local address to connect from (None leaves it to the kernel), and `receive_buffer_bytes` the
    size of the kernel's receive buffer (0 keeps its default).  Raises OSError when the connect fails at once.
    """
    family, remote = address
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        if source is not None:
            sock.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
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
