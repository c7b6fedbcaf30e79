"""A proxy in a thread of the test's own process, an upstream to forward to, and what tests do at both ends."""

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
from loadgen.proxy.api import ProxyConfig
from loadgen.proxy.loop import ProxyLoop
from loadgen.proxy.service import Connection, Service
from tests.support.vms import within

PATIENCE_S = 20.0
"""For what comes at once unless the machine is busy; no promise of anybody."""
_NOISE = os.urandom(1_000_003)  # of prime length, so that no chunk size falls on the same place again and again
_TWICE = memoryview(_NOISE + _NOISE)


def stream(offset: int, size_bytes: int) -> memoryview:
    """Up to `size_bytes` of an endless stream, from `offset` on, in which no two places look alike."""
    start = offset % len(_NOISE)
    return _TWICE[start : start + min(size_bytes, len(_NOISE))]


def is_stream(offset: int, data: bytes | bytearray) -> bool:
    """Whether `data` is the stream from `offset` on."""
    return all(
        memoryview(data)[at : at + len(_NOISE)] == stream(offset + at, len(data) - at)
        for at in range(0, len(data), len(_NOISE))
    )


class Clock:
    """Time stands still but for :meth:`advance`."""

    def __init__(self) -> None:
        self.time_ns = 0

    def __call__(self) -> int:
        return self.time_ns

    def advance(self, proxy: Proxy, duration_ns: int) -> None:
        """And let the proxy's loop notice."""
        self.time_ns += duration_ns
        for _ in range(2):  # when it takes the second up, it has done with the round of the first
            noticed = threading.Event()
            proxy.loop.post(noticed.set)
            assert noticed.wait(PATIENCE_S)


class Proxy:
    """One service on a loop in a thread."""

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
        """The only one, once it is connected."""
        assert within(PATIENCE_S, lambda: [c.connecting for c in list(self.service.open)] == [False])
        return next(iter(self.service.open))

    def client(self, **changes: int) -> socket.socket:
        """A client's connection to it."""
        return connect(self.service.sock.family, self.service.sock.getsockname(), **changes)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside, its loop does nothing: what happens there is news in one piece afterwards."""
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
    """Inside, a proxy forwards to a port of the loopback; afterwards it has ended."""
    config = {"listen_host": "127.0.0.1", "listen_port": 0, "connect_host": "127.0.0.1", **changes}
    service = Service(ProxyConfig(connect_port=connect_port, mode=mode, **config))
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
    """An upstream that has not accepted anybody yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind((host, 0))
        sock.listen(backlog)
        sock.settimeout(PATIENCE_S)
        yield sock


@contextlib.contextmanager
def silent_upstream() -> Iterator[int]:
    """The port of an upstream whose kernel does not answer: its queue is full."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(listening(backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield sock.getsockname()[1]


@contextlib.contextmanager
def refusing_upstream() -> Iterator[int]:
    """A port where nobody listens, and that nobody else gets meanwhile."""
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        yield sock.getsockname()[1]


def free_ports(count: int) -> int:
    """The first of so many in a row that are free now."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            first = 0
            for number in range(count):
                sock = stack.enter_context(socket.socket())
                sock.bind(("127.0.0.1", first + number if first else 0))
                first = first or sock.getsockname()[1]
            return first


def connect(family: int, address: Any, *, receive_bytes: int = 0, send_bytes: int = 0) -> socket.socket:
    """Like create_connection, with buffers of a size that was asked for."""
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
    """A client and the upstream's end of its connection."""
    with proxy.client(**changes) as client:
        server, _ = upstream.accept()
        with server:
            server.settimeout(PATIENCE_S)
            yield client, server


def reset(sock: socket.socket) -> None:
    """Close it with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_reset(sock: socket.socket) -> bool:
    """Whether the connection is reset in time, after whatever was still to be read."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


def refuses(proxy: Proxy) -> bool:
    """Whether it resets who connects."""
    with socket.socket() as client:
        return resets(proxy, client)


def resets(proxy: Proxy, client: socket.socket) -> bool:
    """Whether it resets `client`, which is not connected yet."""
    client.settimeout(PATIENCE_S)
    try:
        client.connect(proxy.service.sock.getsockname())
    except ConnectionResetError:
        return True
    return is_reset(client)


def is_silent(sock: socket.socket, seconds: float = 0.05) -> bool:
    """Whether nothing can be read, not even an end, for a while."""
    return not select.select([sock], [], [], seconds)[0]


def read_exactly(sock: socket.socket, size_bytes: int) -> bytes:
    """As many; fewer where the stream ends."""
    data = bytearray()
    while len(data) < size_bytes and (chunk := sock.recv(min(size_bytes - len(data), 1 << 20))):
        data += chunk
    return bytes(data)


def read_all(sock: socket.socket) -> bytes:
    """Until the end."""
    return read_exactly(sock, 1 << 40)


def send_until_blocked(sock: socket.socket, offset: int = 0, limit_bytes: int = 1 << 30) -> int:
    """Send the stream until nothing more is taken for a while; the new offset."""
    sock.setblocking(False)
    try:
        while offset < limit_bytes and select.select([], [sock], [], 0.1)[1]:
            with contextlib.suppress(BlockingIOError):
                offset += sock.send(stream(offset, limit_bytes - offset))
    finally:
        sock.settimeout(PATIENCE_S)
    return offset


def descriptors(pid: int | str = "self") -> int:
    """How many a process has open; without the one for looking."""
    with os.scandir(f"/proc/{pid}/fd") as entries:
        return sum(1 for _ in entries) - (pid == "self")


def resident_bytes(pid: int) -> int:
    """The memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """What a process has used since it began."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
