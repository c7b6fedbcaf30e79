"""Runs a proxy in a thread of the test process, with upstreams and helpers for both ends of its connections."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.probe import Mode
from loadgen.proxy.api import ProxyConfig, Upstream
from loadgen.proxy.loop import ProxyLoop
from loadgen.proxy.service import Connection, Service
from tests.support.vms import within

PATIENCE_S = 20.0
"""Time limit in seconds for events that happen at once on an idle machine; the product does not promise it."""

_NOISE = os.urandom(1_000_003)  # its length is prime, so no chunk size meets the same offsets again
_TWICE = memoryview(_NOISE + _NOISE)


def stream(offset: int, size_bytes: int) -> memoryview:
    """Return up to `size_bytes` of an endless test stream from `offset` on; nearby offsets have different contents."""
    start = offset % len(_NOISE)
    return _TWICE[start : start + min(size_bytes, len(_NOISE))]


def is_stream(offset: int, data: bytes | bytearray) -> bool:
    """Whether `data` is the test stream from `offset` on."""
    return all(
        memoryview(data)[at : at + len(_NOISE)] == stream(offset + at, len(data) - at)
        for at in range(0, len(data), len(_NOISE))
    )


class Clock:
    """A clock for the proxy's loop that moves only by :meth:`advance`."""

    def __init__(self) -> None:
        self.time_ns = 0

    def __call__(self) -> int:
        return self.time_ns

    def advance(self, proxy: Proxy, duration_ns: int) -> None:
        """Move the clock, and return when the proxy's loop has seen the new time."""
        self.time_ns += duration_ns
        for _ in range(2):  # when the loop runs the second callback, the turn of the first one is complete
            noticed = threading.Event()
            proxy.loop.post(noticed.set)
            assert noticed.wait(PATIENCE_S)


class Proxy:
    """One proxy service whose loop runs in a thread."""

    def __init__(self, service: Service, loop: ProxyLoop) -> None:
        self.service = service
        self.loop = loop
        self.cut: int | None = None  # None while it runs
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.cut = self.loop.run()

    def start(self) -> None:
        self._thread.start()

    def end(self, within_ns: int = 0) -> None:
        self.loop.post(lambda: self.loop.drain(within_ns))

    def join(self) -> None:
        self._thread.join(PATIENCE_S + 5)
        assert not self._thread.is_alive()

    @property
    def counters(self) -> ProxyCounters:
        return self.service.counters()

    def connection(self) -> Connection:
        """Return the only open connection, once it is connected to the upstream."""
        assert within(PATIENCE_S, lambda: [c.connecting for c in list(self.service.open)] == [False])
        return next(iter(self.service.open))

    def client(self, **changes: int) -> socket.socket:
        """Return a new client connection to the proxy."""
        return connect(self.service.sock.family, self.service.sock.getsockname(), **changes)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside the context, the loop is stopped; afterwards it sees all events of that time in one turn."""
        reached, leave = threading.Event(), threading.Event()

        def freeze() -> None:
            reached.set()
            leave.wait(PATIENCE_S)

        self.loop.post(freeze)
        assert reached.wait(PATIENCE_S)
        try:
            yield
        finally:
            leave.set()


@contextlib.contextmanager
def proxying(
    connect_port: int, mode: Mode = Mode.SPLICE, *, now_ns: Callable[[], int] = time.monotonic_ns, **changes: Any
) -> Iterator[Proxy]:
    """Inside the context, a proxy forwards to a port on loopback; afterwards it has ended."""
    upstream = Upstream(changes.pop("connect_host", "127.0.0.1"), connect_port)
    journal = changes.pop("journal", None)
    config = {"listen_host": "127.0.0.1", "listen_port": 0, "upstreams": (upstream,), **changes}
    service = Service(ProxyConfig(mode=mode, **config), journal)
    loop = ProxyLoop(now_ns)
    loop.add(service)
    proxy = Proxy(service, loop)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.end()
        proxy.join()


@contextlib.contextmanager
def listening(host: str = "127.0.0.1", backlog: int = 1024) -> Iterator[socket.socket]:
    """Return a listening upstream that has accepted no connection yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind((host, 0))
        sock.listen(backlog)
        sock.settimeout(PATIENCE_S)
        yield sock


@contextlib.contextmanager
def silent_upstream() -> Iterator[int]:
    """Yield the port of an upstream that does not answer SYNs, because its queue is full."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(listening(backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield sock.getsockname()[1]


@contextlib.contextmanager
def refusing_upstream() -> Iterator[int]:
    """Yield a port on which nothing listens; it is reserved until the end of the context."""
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        yield sock.getsockname()[1]


def free_ports(count: int) -> int:
    """Return the first of `count` consecutive ports that are free now."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            first = 0
            for number in range(count):
                sock = stack.enter_context(socket.socket())
                sock.bind(("127.0.0.1", first + number if first else 0))
                first = first or sock.getsockname()[1]
            return first


def connect(family: int, address: Any, *, receive_bytes: int = 0, send_bytes: int = 0) -> socket.socket:
    """Connect as create_connection() does, with the given socket buffer sizes (0: the kernel's)."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    if send_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
    sock.settimeout(PATIENCE_S)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def joined(proxy: Proxy, upstream: socket.socket, **changes: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return a client's socket, and the upstream's socket of the same proxied connection.

    The proxy knows by then that its upstream has accepted: what a test does next is not a failed connect.
    """
    with proxy.client(**changes) as client:
        server, _ = upstream.accept()
        with server:
            server.settimeout(PATIENCE_S)
            assert within(PATIENCE_S, lambda: not any(c.connecting for c in list(proxy.service.open)))
            yield client, server


def reset(sock: socket.socket) -> None:
    """Close a socket so that the other end gets an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_reset(sock: socket.socket) -> bool:
    """Whether the connection is reset in time; bytes that arrive before that are dropped."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


def refuses(proxy: Proxy) -> bool:
    """Whether the proxy resets a new client."""
    with socket.socket() as client:
        return resets(proxy, client)


def resets(proxy: Proxy, client: socket.socket) -> bool:
    """Whether the proxy resets `client`, a socket that is not connected yet."""
    client.settimeout(PATIENCE_S)
    try:
        client.connect(proxy.service.sock.getsockname())
    except ConnectionResetError:
        return True
    return is_reset(client)


def is_silent(sock: socket.socket, seconds: float = 0.05) -> bool:
    """Whether nothing can be read for some time: neither data nor the end of the stream."""
    return not select.select([sock], [], [], seconds)[0]


def read_exactly(sock: socket.socket, size_bytes: int) -> bytes:
    """Read this many bytes, or fewer if the stream ends earlier."""
    data = bytearray()
    while len(data) < size_bytes and (chunk := sock.recv(min(size_bytes - len(data), 1 << 20))):
        data += chunk
    return bytes(data)


def read_all(sock: socket.socket) -> bytes:
    """Read until the end of the stream."""
    return read_exactly(sock, 1 << 40)


def send_until_blocked(sock: socket.socket, offset: int = 0, limit_bytes: int = 1 << 30) -> int:
    """Send the test stream until the socket takes no more for 0.1 s; returns the new offset."""
    sock.setblocking(False)
    try:
        while offset < limit_bytes and select.select([], [sock], [], 0.1)[1]:
            with contextlib.suppress(BlockingIOError):
                offset += sock.send(stream(offset, limit_bytes - offset))
    finally:
        sock.settimeout(PATIENCE_S)
    return offset


def descriptors(pid: int | str = "self") -> int:
    """Return how many descriptors a process has open, without the one that this function uses."""
    with os.scandir(f"/proc/{pid}/fd") as entries:
        return sum(1 for _ in entries) - (pid == "self")


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used so far."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
