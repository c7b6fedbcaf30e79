"""One listening socket of a proxy, the connections that came by it, and their counters."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct

from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.probe import Mode
from loadgen.proxy.api import ProxyConfig
from loadgen.proxy.pump import RECEIVE_TIMEOUT, CopyPump, End, Pump, SplicePump
from loadgen.proxy.relay import Relay

_BACKLOG = 4096
_ABORT = struct.pack("ii", 1, 0)  # struct linger: a close sends RST
_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen by connect, so 28,000 for each destination


class Connection:
    """A client's connection and the one to the upstream.  End 0 is the client's.

    `since_ns` is when `seen_bytes` was last seen to change, or when connecting began or ended.
    """

    __slots__ = ("connecting", "ends", "relay", "seen_bytes", "service", "since_ns")

    def __init__(self, service: Service, client: socket.socket, upstream: socket.socket, now_ns: int) -> None:
        move = service.pump.move
        ends = (End(client, 0, move, blocking=True), End(upstream, 1, move, blocking=False))
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        ends[0].connection = ends[1].connection = self
        self.service = service
        self.ends = ends
        self.relay = Relay()
        self.connecting = True
        self.since_ns = now_ns
        self.seen_bytes = 0

    def silent_ns(self, now_ns: int) -> int:
        """For how long no byte has moved, as far as those who asked before could see."""
        moved_bytes = sum(end.read_bytes - end.held_bytes for end in self.ends)
        if moved_bytes != self.seen_bytes:
            self.seen_bytes, self.since_ns = moved_bytes, now_ns
        return now_ns - self.since_ns


class Service:
    """One listening socket, its open connections and its counters."""

    def __init__(self, config: ProxyConfig) -> None:
        self.config = config
        self.upstream, self.family = _resolve(config.connect_host, config.connect_port)
        self.sock = _listen(config)
        self.port: int = self.sock.getsockname()[1]
        self.pump: Pump = SplicePump() if config.mode is Mode.SPLICE else CopyPump()
        self.open: set[Connection] = set()
        self.accepted = self.refused = self.upstream_failed = self.reset = self.idle = 0
        self.moved_bytes = [0, 0]

    def counters(self) -> ProxyCounters:
        """As they stand; may be asked from another thread."""
        moved = list(self.moved_bytes)
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

    def connect(self) -> tuple[socket.socket, bool]:
        """A socket on its way to the upstream, and whether it is there already.  Raises OSError."""
        sock = socket.socket(self.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _set_window(sock, self.config.window_bytes)
            if self.config.source_host:
                sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                sock.bind((self.config.source_host, 0))
            error = sock.connect_ex(self.upstream)
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, os.strerror(error))
        except BaseException:
            sock.close()
            raise
        return sock, error == 0


def abort_socket(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    sock.close()


def _set_window(sock: socket.socket, window_bytes: int) -> None:
    if window_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, window_bytes)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)


def _resolve(host: str, port: int) -> tuple[tuple[str, int], int]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise TargetError(f"the upstream {host} is not known: {error.strerror}") from error
    return (str(address[0]), int(address[1])), family


def _listen(config: ProxyConfig) -> socket.socket:
    """What a listener is set to, those that it accepts are too."""
    where = f"{config.listen_host}:{config.listen_port}"
    try:
        found = socket.getaddrinfo(config.listen_host, config.listen_port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(found[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise PlanError(f"cannot listen on {where}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, RECEIVE_TIMEOUT)
        _set_window(sock, config.window_bytes)
        sock.bind(found[4])
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise PlanError(f"cannot listen on {where}: {error.strerror}", hint="another port, or --listen A:0") from error
    return sock
