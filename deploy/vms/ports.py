"""TCP ports for servers that are about to start, so that two runs at once do not take each other's ports."""

from __future__ import annotations

import errno
import os
import socket
from types import TracebackType
from typing import Any

from loadgen.model.errors import PlanError, TargetError


class Reservation:
    """Ports that bound sockets hold until :meth:`close`; the sockets do not listen.

    A server that sets SO_REUSEADDR, as all of ours do, can bind a held port and listen on it.  The kernel gives it to
    nothing else: neither to a `bind` to port 0 nor to an outgoing connection as its local port.
    """

    def __init__(self, host: str, count: int, base_port: int) -> None:
        """Hold `base_port` and the `count - 1` ports after it, or any free ports when `base_port` is 0.

        Raises PlanError for a port that is taken or not permitted, TargetError when the machine has no more.
        """
        self._family, self._where = _resolve(host)
        zone = host.partition("%")[2] if self._where[3:] else ""  # fe80::1%eth0; 3: the scope, which only IPv6 has
        self.address = f"{self._where[0]}%{zone}" if zone else str(self._where[0])
        """`host` as an address."""
        self._sockets: list[socket.socket] = []
        try:
            for index in range(count):
                self._hold(host, base_port + index if base_port else 0)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def ports(self) -> tuple[int, ...]:
        """The numbers of the held ports, in order."""
        return tuple(held.getsockname()[1] for held in self._sockets)

    def close(self) -> None:
        """Release the ports: the servers listen by now, or never will."""
        while self._sockets:
            self._sockets.pop().close()

    def _hold(self, host: str, port: int) -> None:
        try:
            held = socket.socket(self._family, socket.SOCK_STREAM)
            self._sockets.append(held)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((self._where[0], port, *self._where[2:]))
        except OSError as error:
            raise _explained(error, host, port) from error


def _resolve(host: str) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    try:
        family, _, _, _, where = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise PlanError(f"{host} is not an address of this machine: {error.strerror or error}") from error
    return family, where


def _explained(error: OSError, host: str, port: int) -> PlanError | TargetError:
    where = f"port {port} on {host}" if port else f"a free port on {host}"
    if error.errno == errno.EADDRINUSE and port:
        return PlanError(f"{where} is taken", hint="choose other ports, or 0 for any that are free")
    if error.errno in (errno.EACCES, errno.EPERM):
        return PlanError(f"this user may not listen on {where}", hint="choose ports from 1024 upwards")
    if error.errno == errno.EADDRNOTAVAIL:
        return PlanError(f"{host} is not an address of this machine")
    if error.errno == errno.EMFILE:
        return TargetError(
            "too many open files: the ports of the VMs cannot be reserved",
            hint="raise the limit: ulimit -n $(ulimit -Hn)",
        )
    return TargetError(f"{where} cannot be reserved: {os.strerror(error.errno or 0)}")
