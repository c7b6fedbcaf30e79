"""One listening socket of a proxy, its connections, and their counters."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
from typing import Any, NamedTuple

from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.address import format_address
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.probe import Mode
from loadgen.proxy.api import ProxyConfig
from loadgen.proxy.pump import RECEIVE_TIMEOUT, CopyPump, End, Pump, SplicePump
from loadgen.proxy.relay import Relay

_BACKLOG = 4096
_ABORT = struct.pack("ii", 1, 0)  # struct linger that makes close() send RST
_UPSTREAM_TYPE = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
_ESTABLISHED = 1  # TCP_ESTABLISHED, in the first byte of struct tcp_info
_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: connect chooses the port, so 28,000 per destination


class Address(NamedTuple):
    """An address to connect to, as socket() and connect() take it."""

    family: int
    sockaddr: tuple[Any, ...]


class ConnectionEnd(End):
    """One socket of a connection, which knows the connection."""

    __slots__ = ("connection",)

    connection: Connection
    peer: ConnectionEnd


class Connection:
    """The connection from a client (`ends[0]`) and the one to the upstream (`ends[1]`).

    `since_ns`: when `seen_bytes` was last found changed, or when connecting began or ended.  `untried`: the addresses
    to try if connecting to `address` fails.
    """

    __slots__ = ("address", "connecting", "ends", "relay", "seen_bytes", "service", "since_ns", "untried")

    def __init__(
        self,
        service: Service,
        client: socket.socket,
        upstream: socket.socket,
        address: Address,
        untried: tuple[Address, ...],
        now_ns: int,
    ) -> None:
        move = service.pump.move
        ends = (ConnectionEnd(client, 0, move, blocking=True), ConnectionEnd(upstream, 1, move, blocking=False))
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        ends[0].connection = ends[1].connection = self
        self.service = service
        self.ends = ends
        self.address = address
        self.untried = untried
        self.relay = Relay()
        self.connecting = True
        self.since_ns = now_ns
        self.seen_bytes = 0

    def silent_ns(self, now_ns: int) -> int:
        """Time since the last change of the moved bytes, as seen by calls of this method."""
        moved_bytes = sum(end.read_bytes - end.held_bytes for end in self.ends)
        if moved_bytes != self.seen_bytes:
            self.seen_bytes, self.since_ns = moved_bytes, now_ns
        return now_ns - self.since_ns


class Service:
    """One listening socket, its open connections and its counters.

    `addresses`: those of the upstream; the address that answered last comes first.  Raises PlanError if a local address
    is not available, and TargetError if the upstream's name is unknown.
    """

    def __init__(self, config: ProxyConfig) -> None:
        self.config = config
        self.source = _source(config.source_host) if config.source_host else None
        self.addresses = _resolve(config.connect_host, config.connect_port, self.source)
        self.sock = _listen(config)
        self.port: int = self.sock.getsockname()[1]
        if (self.sock.family, self.sock.getsockname()) in self.addresses:
            self.sock.close()
            raise PlanError("a proxy cannot forward to itself", hint="listen on another port")
        try:
            self.pump: Pump = SplicePump() if config.mode is Mode.SPLICE else CopyPump()
        except OSError as error:
            self.sock.close()
            raise PlanError(f"no descriptors for a pipe: {error.strerror}", hint="raise ulimit -n") from error
        self.open: set[Connection] = set()
        self.accepted = self.refused = self.upstream_failed = self.reset = self.idle = 0
        self._moved_bytes = [0, 0]
        self._counting = threading.Lock()

    def close(self) -> None:
        """Close the listener and the pump.  Call once, when no connection is open."""
        self.sock.close()
        self.pump.close()

    def granted_bytes(self) -> tuple[int, int]:
        """The socket buffer sizes that the kernel granted: (send, receive)."""
        send_bytes, receive_bytes = (
            self.sock.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_SNDBUF, socket.SO_RCVBUF)
        )
        return send_bytes, receive_bytes

    def counters(self) -> ProxyCounters:
        """The current counters.  May be called from another thread."""
        with self._counting:
            moved = list(self._moved_bytes)
            for connection in list(self.open):
                for which, end in enumerate(connection.ends):
                    moved[which] += end.read_bytes - end.held_bytes
            return ProxyCounters(
                accepted=self.accepted,
                open=len(self.open),
                refused=self.refused,
                upstream_failed=self.upstream_failed,
                reset=self.reset,
                idle=self.idle,
                forwarded_bytes=moved[0],
                returned_bytes=moved[1],
            )

    def forget(self, connection: Connection) -> None:
        """Remove a connection; its bytes stay counted."""
        with self._counting:
            self.open.discard(connection)
            for end in connection.ends:
                self._moved_bytes[end.which] += end.read_bytes - end.held_bytes

    def connect(self, address: Address) -> tuple[socket.socket, bool]:
        """A socket that connects to `address`, and whether it is connected already.  Raises OSError."""
        sock = socket.socket(address.family, _UPSTREAM_TYPE)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _set_window(sock, self.config.window_bytes)
            if self.source is not None:
                sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                sock.bind(self.source.sockaddr)
            error = sock.connect_ex(address.sockaddr)
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, os.strerror(error))
        except BaseException:
            sock.close()
            raise
        return sock, error == 0 or _is_there(sock)

    def prefer(self, address: Address) -> None:
        """Try `address` first for later connections, because it answered."""
        if self.addresses[0] != address:
            self.addresses = (address, *(other for other in self.addresses if other != address))


def abort_socket(sock: socket.socket) -> None:
    """Close `sock` so that its peer gets a reset (RST)."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    sock.close()


def _is_there(sock: socket.socket) -> bool:
    """Whether `sock` is connected: within one machine it is, although connect() reports that it is in progress."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED


def _set_window(sock: socket.socket, window_bytes: int) -> None:
    if window_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, window_bytes)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)


def _look_up(host: str, port: int) -> tuple[Address, ...]:
    """All addresses of `host`, each once, in the resolver's order.  Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "not a valid host name") from error
    return tuple(dict.fromkeys(Address(family, sockaddr) for family, _, _, _, sockaddr in found))


def _source(host: str) -> Address:
    """The local address of upstream connections, tested once so that connections do not fail one by one later."""
    try:
        source = _look_up(host, 0)[0]
        with socket.socket(source.family, socket.SOCK_STREAM) as sock:
            sock.bind(source.sockaddr)
    except OSError as error:
        raise PlanError(
            f"cannot connect from {host}: {error.strerror}", hint="use an address of this machine"
        ) from error
    return source


def _resolve(host: str, port: int, source: Address | None) -> tuple[Address, ...]:
    """The addresses of the upstream that `source` can connect to, in the resolver's order."""
    try:
        addresses = _look_up(host, port)
    except OSError as error:
        raise TargetError(f"the upstream {host} is not known: {error.strerror}") from error
    usable = tuple(one for one in addresses if source is None or one.family == source.family)
    if not usable:
        raise PlanError(f"the upstream {host} has no address of the source's family", hint="use IPv4 or IPv6 for both")
    return usable


def _listen(config: ProxyConfig) -> socket.socket:
    """The listening socket; accepted sockets inherit its options."""
    where = format_address(config.listen_host, config.listen_port)
    try:
        address = _look_up(config.listen_host, config.listen_port)[0]
        sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise PlanError(f"cannot listen on {where}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, RECEIVE_TIMEOUT)
        _set_window(sock, config.window_bytes)
        sock.bind(address.sockaddr)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise PlanError(f"cannot listen on {where}: {error.strerror}", hint="use another address or port") from error
    return sock
