"""The responder of the canaries: answers each request 5 ms after its arrival, and notes both times.

It is a process of its own, a child of the agent: `python -m loadgen.agent.responder DESCRIPTORS MARK`, with listening
sockets that the agent opened, one per engine.  For each byte on stdin it writes a frame {truth}: for each socket the
requests since the last frame, as bytes of TRUTH_DTYPE.  It ends with its stdin.  It imports neither numpy nor asyncio,
because it must not delay the start of a run.
"""

from __future__ import annotations

import heapq
import os
import select
import socket
import struct
import sys
import time
from array import array
from dataclasses import dataclass, field

from loadgen.host import child, frames
from loadgen.model.units import NS_PER_MS, NS_PER_S

DELAY_NS = 5 * NS_PER_MS
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_TIMESPEC = struct.Struct("@qq")
_CONTROL_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_REQUEST_BYTES = 4096
_END_OF_HEAD = b"\r\n\r\n"
_MAX_CONNECTIONS = 1024
_MAX_NUMBERS = 1 << 21  # two for each request: twelve hours of one engine
_FAR_NS = NS_PER_S  # a stamp farther away was made before or after the clock was set
_TRIES = 3


@dataclass(eq=False, slots=True)
class _Connection:
    """A connection of engine number `engine`; `received_ns` is 0 without a stamp of the kernel."""

    sock: socket.socket
    engine: int
    received_ns: int = 0


@dataclass(slots=True)
class Responder:
    """Serves the listening sockets `servers` until stdin ends."""

    servers: list[socket.socket]
    truth: list[array[int]] = field(init=False)
    _connections: dict[int, _Connection] = field(init=False, default_factory=dict)
    _later: list[tuple[int, int, _Connection]] = field(init=False, default_factory=list)
    _asked: int = 0

    def __post_init__(self) -> None:
        self.truth = [array("q") for _ in self.servers]

    def serve(self, commands: int, answers: int) -> None:
        """Serve until the descriptor `commands` ends; write frames to the descriptor `answers`."""
        epoll = select.epoll()
        listening = {server.fileno(): number for number, server in enumerate(self.servers)}
        for descriptor in (commands, *listening):
            epoll.register(descriptor, select.EPOLLIN)
        while True:
            for descriptor, _ in epoll.poll(self._wait_s()):
                if descriptor == commands:
                    if not os.read(commands, 1):
                        return
                    _write(answers, self.take())
                elif descriptor in listening:
                    self._accept(epoll, listening[descriptor])
                else:
                    self._read(self._connections[descriptor])
            self._reply()

    def take(self) -> bytes:
        """The frame with the truth since the last call."""
        parts = [numbers.tobytes() for numbers in self.truth]
        for numbers in self.truth:
            del numbers[:]
        return frames.encode({"truth": parts})

    def _wait_s(self) -> float | None:
        if not self._later:
            return None
        return max(0, self._later[0][0] - time.monotonic_ns()) / NS_PER_S

    def _accept(self, epoll: select.epoll, engine: int) -> None:
        try:
            sock, _ = self.servers[engine].accept()
        except OSError:  # it was closed meanwhile, or no descriptor is left
            return
        if len(self._connections) >= _MAX_CONNECTIONS:
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[sock.fileno()] = _Connection(sock, engine)
        epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, connection: _Connection) -> None:
        try:
            data, control, _, _ = connection.sock.recvmsg(_REQUEST_BYTES, _CONTROL_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data, control = b"", []
        if not data:
            del self._connections[connection.sock.fileno()]
            connection.sock.close()
            return
        if data.endswith(_END_OF_HEAD):  # the request of a canary is one small segment
            now_ns = time.monotonic_ns()
            connection.received_ns = _received_ns(control, now_ns)
            due_ns = (connection.received_ns or now_ns) + DELAY_NS
            self._asked += 1  # requests that are due at the same time are answered in their order
            heapq.heappush(self._later, (due_ns, self._asked, connection))

    def _reply(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic_ns():
            connection = heapq.heappop(self._later)[2]
            try:
                connection.sock.send(REPLY)
            except OSError:
                continue  # the engine closed the connection, which epoll reports, too
            numbers = self.truth[connection.engine]
            if connection.received_ns and len(numbers) < _MAX_NUMBERS:
                numbers.extend((connection.received_ns, time.monotonic_ns()))


def _received_ns(control: list[tuple[int, int, bytes]], now_ns: int) -> int:
    """The kernel's stamp of the arrival on CLOCK_MONOTONIC; 0 without one."""
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, rest = _TIMESPEC.unpack_from(data)
            stamp_ns: int = seconds * NS_PER_S + rest - _ahead_ns()
            return min(stamp_ns, now_ns) if abs(now_ns - stamp_ns) < _FAR_NS else 0
    return 0


def _ahead_ns() -> int:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC, from the tightest of a few readings."""
    best_ns, ahead_ns = 1 << 62, 0
    for _ in range(_TRIES):
        before, real, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < best_ns:
            best_ns, ahead_ns = after - before, real - (before + after) // 2
    return ahead_ns


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def main() -> int:
    """Run the responder.  Returns the exit code."""
    child.begin()
    servers = [socket.socket(fileno=int(text)) for text in sys.argv[1].split(",")]
    for server in servers:
        server.setblocking(False)
    Responder(servers).serve(sys.stdin.fileno(), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
