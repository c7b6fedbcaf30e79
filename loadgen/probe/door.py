"""The UDP side of a server's port: receives the first datagram of each UDP stream.

That datagram contains only a magic number, so only the client's address tells which test a stream belongs to.
Therefore tests of one address create their streams one after another.  Each stream gets its own socket, bound to the
same port and connected to its client, so the kernel assigns later datagrams to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from loadgen.probe.api import ServerCounters
from loadgen.probe.iperf3 import UDP_CONNECTS

_LONGEST_GREETING_BYTES = 64


@dataclass(slots=True)
class _Turn:
    """Streams that arrive for one test.  `seen`: their addresses, because a first datagram may be sent again."""

    queue: asyncio.Queue[tuple[Any, bytes]] = field(default_factory=lambda: asyncio.Queue(1024))
    seen: set[Any] = field(default_factory=set)


class Door:
    """The UDP socket on one address of a server; assigns new streams to the test that waits for them."""

    def __init__(self, sock: socket.socket, counters: ServerCounters) -> None:
        self._sock = sock
        self._counters = counters
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}  # by host: its lock, and how many tests want it
        self._guests: dict[str, _Turn] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._ready)

    @contextlib.asynccontextmanager
    async def turn_of(self, host: str) -> AsyncIterator[None]:
        """Wait for the turn of this test; inside the context, all new streams from `host` belong to the caller."""
        lock, wanted = self._turns.get(host, (asyncio.Lock(), 0))
        self._turns[host] = (lock, wanted + 1)
        try:
            async with lock:
                self._guests[host] = _Turn()
                try:
                    yield
                finally:
                    del self._guests[host]
        finally:
            lock, wanted = self._turns.pop(host)
            if wanted > 1:
                self._turns[host] = (lock, wanted - 1)

    async def stream(self, host: str, local: Any) -> socket.socket:
        """The socket of the next stream from `host`, connected to the client and answered.

        `local`: this end's address of the control connection, which the stream's socket is bound to.  Raises OSError if
        the socket cannot be set up.
        """
        guest, greeting = await self._guests[host].queue.get()
        sock = socket.socket(self._sock.family, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setblocking(False)
            sock.bind(local)
            sock.connect(guest)
            self._let_through(sock)  # between bind and connect it may have received datagrams meant for the door
            sock.send(UDP_CONNECTS[greeting])
        except BaseException:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        """Stop receiving new streams and close the socket.  Idempotent."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _ready(self) -> None:
        self._let_through(self._sock)

    def _let_through(self, sock: socket.socket) -> None:
        for _ in range(64):  # bounded, so that the loop can serve others; it calls again if there is more
            try:
                data, guest = sock.recvfrom(_LONGEST_GREETING_BYTES)
            except OSError:  # no more datagrams, or an ICMP error for an earlier one
                return
            turn = self._guests.get(guest[0])
            if turn is None or data not in UDP_CONNECTS or guest in turn.seen or turn.queue.full():
                self._counters.unknown_datagrams += 1
            else:
                turn.seen.add(guest)
                turn.queue.put_nowait((guest, data))
