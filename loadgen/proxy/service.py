"""One listening socket of a proxy, its connections, and their counters."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
from typing import Any, NamedTuple

from loadgen.host.addresses import to_listen_at
from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.address import format_address
from loadgen.model.errors import PlanError
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_S
from loadgen.proxy.api import ProxyConfig
from loadgen.proxy.failure import Failure
from loadgen.proxy.journal import Journal, milliseconds, say_address
from loadgen.proxy.pump import RECEIVE_TIMEOUT, CopyPump, End, Pump, SplicePump
from loadgen.proxy.relay import Relay
from loadgen.proxy.upstreams import Address, Upstreams, look_up

_BACKLOG = 4096
_ABORT = struct.pack("ii", 1, 0)  # struct linger that makes close() send RST
_UPSTREAM_TYPE = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
_ESTABLISHED = 1  # TCP_ESTABLISHED, in the first byte of struct tcp_info
_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: connect chooses the port, so 28,000 per destination
_PROBE_S, _PROBES, _MOST_IDLE_S = 10, 6, 32_767  # of tcp(7): keepalive


class Client(NamedTuple):
    """The socket of a client, and the client's address."""

    sock: socket.socket
    address: tuple[Any, ...]


class ConnectionEnd(End):
    """One socket of a connection, which knows the connection."""

    __slots__ = ("connection",)

    connection: Connection
    peer: ConnectionEnd


class Connection:
    """The connection from a client (`ends[0]`) and the one to the upstream (`ends[1]`).

    `began_ns`, `opened_ns`: when connecting to `address` began, and when it succeeded.  `since_ns`: when `seen_bytes`
    was last found changed, or when connecting began or ended.  `untried`: the addresses to try if connecting to
    `address` fails.
    """

    __slots__ = (
        "address",
        "began_ns",
        "client",
        "connecting",
        "ends",
        "opened_ns",
        "relay",
        "seen_bytes",
        "service",
        "since_ns",
        "untried",
    )

    def __init__(
        self,
        service: Service,
        client: Client,
        upstream: socket.socket,
        address: Address,
        untried: tuple[Address, ...],
        now_ns: int,
    ) -> None:
        move = service.pump.move
        ends = (ConnectionEnd(client.sock, 0, move, blocking=True), ConnectionEnd(upstream, 1, move, blocking=False))
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        ends[0].connection = ends[1].connection = self
        self.service = service
        self.ends = ends
        self.address = address
        self.untried = untried
        self.client = client
        self.relay = Relay()
        self.connecting = True
        self.began_ns = self.opened_ns = self.since_ns = now_ns
        self.seen_bytes = 0

    def silent_ns(self, now_ns: int) -> int:
        """Time since the last change of the moved bytes, as seen by calls of this method."""
        moved_bytes = sum(end.read_bytes - end.held_bytes for end in self.ends)
        if moved_bytes != self.seen_bytes:
            self.seen_bytes, self.since_ns = moved_bytes, now_ns
        return now_ns - self.since_ns


class Service:
    """One listening socket, its open connections and its counters.

    `journal` gets a line for each connection.  Raises PlanError if a local address is not available, and TargetError if
    an upstream's name is unknown.
    """

    def __init__(self, config: ProxyConfig, journal: Journal | None = None) -> None:
        self.config = config
        self.journal = journal
        self.source = _source(config.source_host) if config.source_host else None
        self.sock = _listen(config)
        self.port: int = self.sock.getsockname()[1]
        try:
            listening = Address(self.sock.family, self.sock.getsockname())
            self.upstreams = Upstreams(config.upstreams, self.source, listening)
            self.pump: Pump = SplicePump() if config.mode is Mode.SPLICE else CopyPump()
        except OSError as error:
            self.sock.close()
            raise PlanError(f"no descriptors for a pipe: {error.strerror}", hint="raise ulimit -n") from error
        except BaseException:
            self.sock.close()
            raise
        self.open: set[Connection] = set()
        self.accepted = self.refused = self.reset = self.idle = 0
        self._failures = dict.fromkeys(Failure, 0)
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
                upstream_failed=sum(self._failures.values()) - self._failures[Failure.LOCAL_LIMIT],
                **{cause.value: count for cause, count in self._failures.items()},
                reset=self.reset,
                idle=self.idle,
                forwarded_bytes=moved[0],
                returned_bytes=moved[1],
            )

    def forget(self, connection: Connection, end: str, now_ns: int) -> None:
        """Remove a connection; its bytes stay counted.  `end`: how it ended, empty when another address is tried."""
        with self._counting:
            self.open.discard(connection)
            for each in connection.ends:
                self._moved_bytes[each.which] += each.read_bytes - each.held_bytes
        if self.journal is None or not end:
            return
        facts: dict[str, object] = {"upstream": say_address(connection.address.sockaddr)}
        if not connection.connecting:
            sent, returned = (each.read_bytes - each.held_bytes for each in connection.ends)
            facts |= {
                "connect_ms": milliseconds(connection.opened_ns - connection.began_ns),
                "duration_ms": milliseconds(now_ns - connection.opened_ns),
                "sent_bytes": sent,
                "returned_bytes": returned,
            }
        self.journal.note(connection.client.address, end, **facts)

    def refuse(self, client: Client, why: str) -> None:
        """Reset a client because of a limit of the proxy."""
        self.refused += 1
        if self.journal is not None:
            self.journal.note(client.address, f"refused:{why}")
        abort_socket(client.sock)

    def fail(self, client: Client, cause: Failure) -> None:
        """Reset a client because no upstream could be connected to; `cause` is why the last one could not."""
        self._failures[cause] += 1
        self.upstreams.fail()
        if self.journal is not None:
            self.journal.note(client.address, cause.value)
        abort_socket(client.sock)

    def connect(self, address: Address) -> tuple[socket.socket, bool]:
        """A socket that connects to `address`, and whether it is connected already.  Raises OSError."""
        sock = socket.socket(address.family, _UPSTREAM_TYPE)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _set_window(sock, self.config.window_bytes)
            _keep_alive(sock, self.config.keepalive_ns)
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


def _keep_alive(sock: socket.socket, keepalive_ns: int) -> None:
    """Let the kernel probe a peer that is silent for so long."""
    if keepalive_ns:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, min(_MOST_IDLE_S, keepalive_ns // NS_PER_S)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)


def _source(host: str) -> Address:
    """The local address of upstream connections, tested once so that connections do not fail one by one later."""
    try:
        source = look_up(host, 0)[0]
        with socket.socket(source.family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)  # all ports may be in use
            sock.bind(source.sockaddr)
    except OSError as error:
        raise PlanError(
            f"cannot connect from {host}: {error.strerror}", hint="use an address of this machine"
        ) from error
    return source


def _listen(config: ProxyConfig) -> socket.socket:
    """The listening socket; accepted sockets inherit its options."""
    where = format_address(config.listen_host, config.listen_port)
    try:
        address = look_up(to_listen_at(config.listen_host), config.listen_port)[0]
        sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise PlanError(f"cannot listen on {where}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, RECEIVE_TIMEOUT)
        _set_window(sock, config.window_bytes)
        _keep_alive(sock, config.keepalive_ns)
        sock.bind(address.sockaddr)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise PlanError(f"cannot listen on {where}: {error.strerror}", hint="use another address or port") from error
    return sock
