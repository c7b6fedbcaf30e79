"""The UDP side of a server's port: where the first datagram of each UDP stream comes in.

That datagram carries nothing but a magic number, so a stream can be matched to its test by the client's address
only; tests of one address therefore create their streams one after the other.  Each stream gets a socket of its
own, bound to the same port and connected to its client: the kernel then sorts the datagrams.
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
    """One test's streams coming in; `seen` are their addresses: a greeting may come twice."""

    queue: asyncio.Queue[tuple[Any, bytes]] = field(default_factory=lambda: asyncio.Queue(1024))
    seen: set[Any] = field(default_factory=set)


class Door:
    """The UDP socket of one address of a server."""

    def __init__(self, sock: socket.socket, counters: ServerCounters) -> None:
        self._sock = sock
        self._counters = counters
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}  # by host, and how many want it
        self._guests: dict[str, _Turn] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._ready)

    @contextlib.asynccontextmanager
    async def turn_of(self, host: str) -> AsyncIterator[None]:
        """Inside, streams that come from `host` are the caller's."""
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
        """The next stream from `host`, connected and answered.

        `local` is this end's address of the client's control connection: the stream must come from there.  Raises
        OSError when it cannot be had.
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
            self._let_through(sock)  # between these two calls it took what was for the door
            sock.send(UDP_CONNECTS[greeting])
        except BaseException:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        """Idempotent."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _ready(self) -> None:
        self._let_through(self._sock)

    def _let_through(self, sock: socket.socket) -> None:
        for _ in range(64):  # then others have their turn; the loop calls again if there is more
            try:
                data, guest = sock.recvfrom(_LONGEST_GREETING_BYTES)
            except OSError:  # nothing more, or an ICMP error of somebody
                return
            turn = self._guests.get(guest[0])
            if turn is None or data not in UDP_CONNECTS or guest in turn.seen or turn.queue.full():
                self._counters.unknown_datagrams += 1
            else:
                turn.seen.add(guest)
                turn.queue.put_nowait((guest, data))
