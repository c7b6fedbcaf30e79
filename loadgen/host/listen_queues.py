"""The listening TCP sockets of this network namespace, and the connections that each has dropped (sock_diag(7))."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_LISTEN_STATES = 1 << 10
_SKMEMINFO = 7
_DROPS = 8  # of the numbers of SKMEMINFO (linux/sock_diag.h)
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")  # inet_diag_req_v2
_SOCKET = struct.Struct("!4x2H16s")  # the beginning of inet_diag_msg
_SOCKET_BYTES = 72
_ATTRIBUTE = struct.Struct("=HH")
_BUFFER_BYTES = 1 << 18
_WAIT_S = 1.0


def listen_drops() -> dict[tuple[str, int], int] | None:
    """By address and port of listening sockets: the connection attempts that they have dropped until now.

    The kernel drops one when the queue of connections that wait to be accepted is full, and rarely for other reasons.
    None when the kernel does not tell.
    """
    found: dict[tuple[str, int], int] = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as diag:
            diag.settimeout(_WAIT_S)
            for family in (socket.AF_INET, socket.AF_INET6):
                for address, drops in _dump(diag, family):
                    found[address] = found.get(address, 0) + drops
    except (OSError, ValueError, struct.error):
        return None
    return found


def _dump(diag: socket.socket, family: int) -> Iterator[tuple[tuple[str, int], int]]:
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_SKMEMINFO - 1), 0, _LISTEN_STATES)
    diag.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
    while True:
        data = diag.recv(_BUFFER_BYTES)
        at = 0
        while at < len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _DONE:
                return
            if kind == _ERROR or length < _HEADER.size:
                raise ValueError("the kernel does not list sockets")
            yield parse_socket(data[at + _HEADER.size : at + length], family)
            at += -(-length // 4) * 4


def parse_socket(message: bytes, family: int) -> tuple[tuple[str, int], int]:
    """((address, port), drops) of a message of sock_diag.  Raises ValueError or struct.error if it is malformed."""
    port, _, source = _SOCKET.unpack_from(message)
    address = socket.inet_ntop(family, source[:4] if family == socket.AF_INET else source)
    at = _SOCKET_BYTES
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _SKMEMINFO:
            return (address, port), int(struct.unpack_from("=I", message, at + _ATTRIBUTE.size + 4 * _DROPS)[0])
        at += max(_ATTRIBUTE.size, -(-length // 4) * 4)
    raise ValueError("the kernel does not count drops of sockets")
