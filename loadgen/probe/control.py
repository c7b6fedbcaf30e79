"""A control connection: states and blocks of iperf3, each within its time."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from loadgen.model.units import NS_PER_S
from loadgen.probe.api import ProbeError
from loadgen.probe.iperf3 import ERROR, LENGTH, State, block, block_length, parse_block, state_byte, state_of

_KEEPALIVE_S = 10  # a peer whose machine vanished is noticed after some four of these


class PeerGoneError(ProbeError):
    """The connection was closed or reset."""


class PeerSilentError(ProbeError):
    """What was due did not come in time."""


class Control:
    """One control connection over a connected, non-blocking socket.

    Everything may raise PeerGoneError, PeerSilentError and, for what cannot be read, ProtocolError.  Messages
    are sentences about the peer without their subject.
    """

    def __init__(self, sock: socket.socket, patience_ns: int) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.Task[State] | None = None
        self._patience_s = patience_ns / NS_PER_S
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
            sock.setsockopt(socket.IPPROTO_TCP, option, _KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)

    def watch(self) -> asyncio.Task[State]:
        """Begin to wait for the next state, however long it takes; :meth:`soon` ends it."""
        self._watch = asyncio.create_task(self._state())
        return self._watch

    async def soon(self) -> State:
        """The next state, in time."""
        watch, self._watch = self._watch or asyncio.create_task(self._state()), None
        try:
            return await asyncio.wait_for(watch, self._patience_s)
        except TimeoutError:
            raise PeerSilentError(f"did not answer for {self._patience_s:g} s") from None

    async def block(self, limit_bytes: int) -> dict[str, Any]:
        """The next block, whole and in time."""
        try:
            async with asyncio.timeout(self._patience_s):
                size = block_length(await self._exactly(LENGTH.size), limit_bytes)
                return parse_block(await self._exactly(size))
        except TimeoutError:
            raise PeerSilentError(f"did not send its block within {self._patience_s:g} s") from None

    async def error(self) -> tuple[int, int]:
        """What follows SERVER_ERROR: iperf3's number and errno."""
        try:
            async with asyncio.timeout(self._patience_s):
                number, code = ERROR.unpack(await self._exactly(ERROR.size))
        except TimeoutError:
            raise PeerSilentError("did not say what its error is") from None
        return number, code

    async def send(self, *parts: bytes | State | dict[str, Any]) -> None:
        """Bytes, states and blocks, one after the other."""
        data = b"".join(_encoded(part) for part in parts)
        try:
            async with asyncio.timeout(self._patience_s):
                await self._loop.sock_sendall(self.sock, data)
        except TimeoutError:
            raise PeerSilentError(f"took nothing for {self._patience_s:g} s") from None
        except OSError as error:
            raise PeerGoneError(f"closed its control connection ({error.strerror})") from error

    def last_words(self, *parts: bytes | State) -> None:
        """Send what is worth a try on a connection that is about to be closed."""
        try:
            self.sock.send(b"".join(_encoded(part) for part in parts))
        except OSError:
            return

    async def close(self) -> None:
        """Idempotent."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})  # the loop must have let go of the socket before it is closed
            if not self._watch.cancelled():
                self._watch.exception()  # nobody else will ask
        self.sock.close()

    async def _state(self) -> State:
        return state_of(await self._exactly(1))

    async def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                part = await self._loop.sock_recv(self.sock, min(count - len(data), 1 << 16))
            except OSError as error:
                raise PeerGoneError(f"broke its control connection off ({error.strerror})") from error
            if not part:
                raise PeerGoneError("closed its control connection")
            data += part
        return bytes(data)


def _encoded(part: bytes | State | dict[str, Any]) -> bytes:
    if isinstance(part, State):
        return state_byte(part)
    return part if isinstance(part, bytes) else block(part)
