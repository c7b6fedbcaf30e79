"""The UDP side of a server's port: receives the first datagram of each UDP stream, the greeting.

iperf3's greeting contains only a magic number, so only the client's address tells which test a stream belongs to:
tests of stock clients of one address create their streams one after another.  A loadgen client appends the cookie of
its test, so its tests wait for nobody.  Each stream gets its own socket, bound to the same port and connected to its
client, so the kernel assigns later datagrams to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from loadgen.probe.api import ServerCounters
from loadgen.probe.control import PeerSilentError
from loadgen.probe.iperf3 import GREETING_SIZES, UDP_CONNECTS

_LONGEST_GREETING_BYTES = 64  # a longer datagram is no greeting
_MAGIC_BYTES = 4
_LOOK_S = 0.25  # how often a test without streams looks whether another test waits

Owner = bytes | str
"""Whose streams: the cookie of a loadgen client's test, or the host of a stock client."""


@dataclass(slots=True)
class _Arrivals:
    """Streams that arrive for one test.  `seen`: their addresses, because a greeting may be sent again."""

    queue: asyncio.Queue[tuple[Any, bytes]] = field(default_factory=lambda: asyncio.Queue(1024))
    seen: set[Any] = field(default_factory=set)


class Turn:
    """The right of one test to its next streams, from :meth:`Door.turn_of`."""

    def __init__(self, door: Door, arrivals: _Arrivals, host: str) -> None:
        self._door = door
        self._arrivals = arrivals
        self._host = host
        self._answering: list[socket.socket] = []
        self._loop = asyncio.get_running_loop()

    @property
    def is_contested(self) -> bool:
        """Whether another test waits until this turn ends."""
        return self._door.wanted(self._host) > 1

    async def stream(self, local: Any, contested_s: float) -> socket.socket:
        """The socket of the next stream, connected to the client and answered.

        An answer may get lost.  Until the turn ends, each repeated greeting is answered again; later, the messages on
        the control connection tell the client that its streams were accepted.  `local`: this end's address of the
        control connection, which the stream's socket is bound to.  Raises OSError if the socket cannot be set up, and
        PeerSilentError if no greeting comes for `contested_s` while another test waits for its turn.
        """
        guest, greeting = await self._next(contested_s)
        sock = self._door.connected(guest, local)
        try:
            sock.send(UDP_CONNECTS[greeting])
            self._loop.add_reader(sock.fileno(), self._answer_again, sock)
        except BaseException:
            sock.close()
            raise
        self._answering.append(sock)
        return sock

    async def _next(self, contested_s: float) -> tuple[Any, bytes]:
        since_s = self._loop.time()
        while True:
            try:
                async with asyncio.timeout(min(_LOOK_S, contested_s)):
                    return await self._arrivals.queue.get()
            except TimeoutError:
                if self.is_contested and self._loop.time() - since_s >= contested_s:
                    raise PeerSilentError(
                        "did not open its streams, and another client of its address waited"
                    ) from None

    def end(self) -> None:
        """Stop answering repeated greetings."""
        for sock in self._answering:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock.fileno())
        self._answering.clear()

    def _answer_again(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):  # an ICMP error for an earlier answer, or a full queue
            greeting = sock.recv(_LONGEST_GREETING_BYTES)[:_MAGIC_BYTES]
            if greeting in UDP_CONNECTS:
                sock.send(UDP_CONNECTS[greeting])


class Door:
    """The UDP socket on one address of a server; assigns new streams to the test that waits for them."""

    def __init__(self, sock: socket.socket, counters: ServerCounters) -> None:
        self._sock = sock
        self._counters = counters
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}  # by host: its lock, and how many tests want it
        self._expected: dict[Owner, _Arrivals] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._ready)

    @contextlib.asynccontextmanager
    async def turn_of(self, host: str, cookie: bytes | None) -> AsyncIterator[Turn]:
        """The turn of a test to receive its streams.

        `cookie`: that which the client appends to its greetings.  None: the client cannot, so this waits for the turn
        of the test; inside the context, all new streams from `host` without a cookie belong to the caller.
        """
        if cookie is not None:
            async with contextlib.AsyncExitStack() as stack:
                yield stack.enter_context(self._expecting(cookie, host))
            return
        lock, wanted = self._turns.get(host, (asyncio.Lock(), 0))
        self._turns[host] = (lock, wanted + 1)
        try:
            async with lock:
                with self._expecting(host, host) as turn:
                    yield turn
        finally:
            lock, wanted = self._turns.pop(host)
            if wanted > 1:
                self._turns[host] = (lock, wanted - 1)

    @contextlib.contextmanager
    def _expecting(self, owner: Owner, host: str) -> Iterator[Turn]:
        arrivals = self._expected[owner] = _Arrivals()
        turn = Turn(self, arrivals, host)
        try:
            yield turn
        finally:
            turn.end()
            del self._expected[owner]

    def wanted(self, host: str) -> int:
        """The number of tests of stock clients at `host` that create streams or wait for their turn."""
        return self._turns[host][1] if host in self._turns else 0

    def connected(self, guest: Any, local: Any) -> socket.socket:
        """A socket bound to `local` and connected to `guest`.  Raises OSError."""
        sock = socket.socket(self._sock.family, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setblocking(False)
            sock.bind(local)
            sock.connect(guest)
            self._let_through(sock)  # between bind and connect it may have received datagrams meant for the door
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
            magic, cookie = data[:_MAGIC_BYTES], data[_MAGIC_BYTES:]
            known = magic in UDP_CONNECTS and len(data) in GREETING_SIZES
            arrivals = self._expected.get(cookie or guest[0]) if known else None
            if arrivals is None or guest in arrivals.seen or arrivals.queue.full():
                self._counters.unknown_datagrams += 1
            else:
                arrivals.seen.add(guest)
                arrivals.queue.put_nowait((guest, magic))
