"""A server of probe tests for many clients at once: loadgen clients and stock `iperf3 -c`.

A misbehaving client affects only its own test: the server counts it and releases all of its resources.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from loadgen.host.addresses import to_listen_at
from loadgen.model.address import format_address
from loadgen.model.errors import PlanError
from loadgen.model.units import NS_PER_S
from loadgen.probe.api import ProbeError, ServedTest, ServerCounters, ServerLimits
from loadgen.probe.connect import look_up
from loadgen.probe.control import Control, PeerSilentError
from loadgen.probe.door import Door
from loadgen.probe.iperf3 import COOKIE_BYTES, ProtocolError, State, check_cookie, state_byte
from loadgen.probe.session import Client, Session

OnServed = Callable[[ServedTest], None]

_BACKLOG = 4096
_ACCEPTED_AT_ONCE = 64
_NO_DESCRIPTOR_PAUSE_S = 0.05
_SWEEP_S = 0.5
_REMEMBERED = 256


class ProbeServer:
    """Listens from :meth:`open` to :meth:`close`, and calls `on_served` after each test."""

    def __init__(self, *, on_served: OnServed, limits: ServerLimits | None = None) -> None:
        self.counters = ServerCounters()
        self._on_served = on_served
        self._limits = limits or ServerLimits()
        self._loop = asyncio.get_running_loop()
        self._listeners: list[socket.socket] = []
        self._doors: list[Door] = []
        self._strangers: dict[socket.socket, tuple[bytearray, int, Door]] = {}
        self._sessions: dict[bytes, Session] = {}
        self._over: collections.deque[bytes] = collections.deque(
            maxlen=_REMEMBERED
        )  # recent tests, whose last streams may arrive late
        self._tests: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()  # one per test; finishes the test, and is never cancelled
        self._sweeping: asyncio.TimerHandle | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen on all addresses of `host` (`::` includes IPv4, `*` is all); returns the port.

        Raises PlanError if that fails.
        """
        try:
            found = await look_up(to_listen_at(host), port, flags=socket.AI_PASSIVE)
            for family, _, _, _, address in found:
                where = (address[0], port, *address[2:])
                listener = _bound(family, socket.SOCK_STREAM, where)
                self._listeners.append(listener)
                listener.listen(_BACKLOG)
                port = listener.getsockname()[1]
                door = Door(_bound(family, socket.SOCK_DGRAM, listener.getsockname()), self.counters)
                self._doors.append(door)
                self._loop.add_reader(listener.fileno(), self._accept, listener, door)
        except (OSError, UnicodeError) as error:
            await self.close()
            why = error.strerror if isinstance(error, OSError) else "it is not a valid host name"
            raise PlanError(f"cannot listen on {format_address(host, port)}: {why}") from error
        self._sweep()
        return port

    async def close(self) -> None:
        """End all tests and close all sockets.  Idempotent."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for listener in self._listeners:
            if listener.fileno() >= 0:
                self._loop.remove_reader(listener.fileno())
                listener.close()
        for stranger in list(self._strangers):
            self._dismiss(stranger)
            stranger.close()
        for session in self._sessions.values():
            session.terminate()
        for test in self._tests:
            test.cancel()
        await asyncio.gather(*self._tasks)
        for door in self._doors:
            door.close()

    def _accept(self, listener: socket.socket, door: Door) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor left: wait until a test releases some
                self._loop.remove_reader(listener.fileno())
                self._loop.call_later(_NO_DESCRIPTOR_PAUSE_S, self._listen_again, listener, door)
                return
            self.counters.connections += 1
            if len(self._strangers) >= self._limits.strangers:
                self.counters.refused_busy += 1
                sock.close()
                continue
            sock.setblocking(False)
            deadline_ns = time.monotonic_ns() + self._limits.patience_ns
            self._strangers[sock] = (bytearray(), deadline_ns, door)
            if not self._hear(sock):  # the cookie has often arrived by now
                self._loop.add_reader(sock.fileno(), self._hear, sock)

    def _listen_again(self, listener: socket.socket, door: Door) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener.fileno(), self._accept, listener, door)

    def _hear(self, sock: socket.socket) -> bool:
        """Read from a connection that has not sent its whole cookie; True once it has, or has closed."""
        heard, _, door = self._strangers[sock]
        try:
            part = sock.recv(COOKIE_BYTES - len(heard))
        except BlockingIOError:
            return False
        except OSError:
            part = b""
        heard += part
        if part and len(heard) < COOKIE_BYTES:
            return False
        self._dismiss(sock)
        try:
            if not part:
                raise ProtocolError("closed before it sent a cookie")
            self._admit(sock, check_cookie(bytes(heard)), door)
        except ProtocolError:
            self.counters.garbage += 1
            sock.close()
        return True

    def _admit(self, sock: socket.socket, cookie: bytes, door: Door) -> None:
        session = self._sessions.get(cookie)
        if session is not None:
            if not session.offer(sock):
                raise ProtocolError("sent the cookie of a test that expects no more streams")
            return
        if cookie in self._over:
            self.counters.late += 1
            sock.close()
            return
        if len(self._sessions) >= self._limits.tests:
            self.counters.refused_busy += 1
            with contextlib.suppress(OSError):
                sock.send(state_byte(State.ACCESS_DENIED))
            sock.close()
            return
        try:
            client = Client(sock.getpeername()[0], sock.getsockname(), cookie)
            control = Control(sock, self._limits.patience_ns)
        except OSError:  # the client has closed it already
            raise ProtocolError("closed after its cookie") from None
        session = self._sessions[cookie] = Session(client, control, door, self._limits)
        test = self._loop.create_task(session.run())
        task = self._loop.create_task(self._see_to(cookie, session, test))
        for mine, tasks in ((test, self._tests), (task, self._tasks)):
            tasks.add(mine)
            mine.add_done_callback(tasks.discard)

    async def _see_to(self, cookie: bytes, session: Session, test: asyncio.Task[None]) -> None:
        await asyncio.wait({test})
        await session.close()
        del self._sessions[cookie]
        self._over.append(cookie)
        self._on_served(session.served(self._end_of(test)))

    def _end_of(self, test: asyncio.Task[None]) -> str:
        """Return the end of the test in words; also counts the test."""
        try:
            test.result()
        except asyncio.CancelledError:
            self.counters.tests_broken += 1
            return "the server was stopped"
        except ProbeError as error:
            self.counters.tests_broken += 1
            self.counters.garbage += isinstance(error, ProtocolError)
            self.counters.timed_out += isinstance(error, PeerSilentError)
            return f"it {error.message}"
        self.counters.tests_done += 1
        return "done"

    def _dismiss(self, sock: socket.socket) -> None:
        del self._strangers[sock]
        self._loop.remove_reader(sock.fileno())

    def _sweep(self) -> None:
        """Close connections that have not sent their cookie in time."""
        now_ns = time.monotonic_ns()
        for sock in [sock for sock, (_, deadline_ns, _) in self._strangers.items() if deadline_ns < now_ns]:
            self.counters.timed_out += 1
            self._dismiss(sock)
            sock.close()
        self._sweeping = self._loop.call_later(min(_SWEEP_S, self._limits.patience_ns / NS_PER_S), self._sweep)


def _bound(family: int, kind: int, address: Any) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        sock.setblocking(False)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock
