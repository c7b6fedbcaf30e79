"""TCP ports for servers that are about to start, so that two runs at once do not take each other's."""

from __future__ import annotations

import errno
import os
import socket
from types import TracebackType

from loadgen.model.errors import PlanError, TargetError


class Reservation:
    """Ports held by bound sockets that do not listen, until it is closed.

    A server that sets SO_REUSEADDR, as all do, can bind and listen on a held port; nothing else is given it: not
    another `bind` to port 0, nor an outgoing connection as its local port.
    """

    def __init__(self, host: str, count: int, base_port: int) -> None:
        """`base_port` and the `count - 1` after it, or any free ones for 0.

        Raises PlanError for a port that is taken or not allowed, TargetError when the machine has no more.
        """
        self._family, self.address = _resolve(host)
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
        """The ports, in order."""
        return tuple(held.getsockname()[1] for held in self._sockets)

    def close(self) -> None:
        """Let go of the ports: the servers listen by now, or never will."""
        while self._sockets:
            self._sockets.pop().close()

    def _hold(self, host: str, port: int) -> None:
        try:
            held = socket.socket(self._family, socket.SOCK_STREAM)
            self._sockets.append(held)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((self.address, port))
        except OSError as error:
            raise _explained(error, host, port) from error


def _resolve(host: str) -> tuple[socket.AddressFamily, str]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise PlanError(f"{host} is not an address of this machine: {error.strerror or error}") from error
    return family, str(address[0])


def _explained(error: OSError, host: str, port: int) -> PlanError | TargetError:
    where = f"port {port} on {host}" if port else f"a free port on {host}"
    if error.errno == errno.EADDRINUSE and port:
        return PlanError(f"{where} is taken", hint="choose other ports, or 0 for any that are free")
    if error.errno in (errno.EACCES, errno.EPERM):
        return PlanError(f"{where} may not be used by this user", hint="choose ports from 1024 on")
    if error.errno == errno.EADDRNOTAVAIL:
        return PlanError(f"{host} is not an address of this machine")
    if error.errno == errno.EMFILE:
        return TargetError("too few file descriptors for so many ports", hint="ulimit -n $(ulimit -Hn)")
    return TargetError(f"{where} cannot be had: {os.strerror(error.errno or 0)}")
