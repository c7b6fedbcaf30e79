"""The control connection of a test: iperf3's states and blocks, each with a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from loadgen.model.units import NS_PER_S
from loadgen.probe.api import ProbeError
from loadgen.probe.iperf3 import ERROR, LENGTH, State, block, block_length, parse_block, state_byte, state_of

_GREETING_S = 0.3
_GREETING_BYTES = 64
_KEEPALIVE_S = 10  # a peer that vanished is noticed after about four times this


class PeerGoneError(ProbeError):
    """The connection was closed or reset."""


class PeerSilentError(ProbeError):
    """The peer did not send or take data in time."""


class Control:
    """A control connection over a connected, non-blocking socket.

    Its methods may raise PeerGoneError, PeerSilentError and, for malformed data, ProtocolError.  Messages are sentences
    about the peer without the subject: 'closed its control connection'.
    """

    def __init__(self, sock: socket.socket, patience_ns: int) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.Task[State] | None = None
        self._patience_s = patience_ns / NS_PER_S
        self._byte = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
            sock.setsockopt(socket.IPPROTO_TCP, option, _KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)

    def hurry(self, patience_ns: int) -> None:
        """Wait at most this long from now on."""
        self._patience_s = min(self._patience_s, patience_ns / NS_PER_S)

    def watch(self) -> asyncio.Task[State]:
        """Begin to wait for the next state, without a time limit; :meth:`soon` sets the limit."""
        self._watch = asyncio.create_task(self._state())
        return self._watch

    async def soon(self) -> State:
        """The next state.  Raises PeerSilentError if it takes too long."""
        watch, self._watch = self._watch or asyncio.create_task(self._state()), None
        try:
            return await asyncio.wait_for(watch, self._patience_s)
        except TimeoutError:
            raise PeerSilentError(f"did not answer for {self._patience_s:g} s") from None

    async def block(self, limit_bytes: int) -> dict[str, Any]:
        """The next block as a JSON object of at most `limit_bytes`."""
        try:
            async with asyncio.timeout(self._patience_s):
                size = block_length(await self._exactly(LENGTH.size), limit_bytes)
                return parse_block(await self._exactly(size))
        except TimeoutError:
            raise PeerSilentError(f"did not send its block within {self._patience_s:g} s") from None

    async def error(self) -> tuple[int, int]:
        """The data after SERVER_ERROR: iperf3's error number, and errno; 0 if it leaves that out, as for a login."""
        number = bytes(ERROR.size)
        try:
            async with asyncio.timeout(self._patience_s):
                number = await self._exactly(ERROR.size // 2)
                number += await self._exactly(ERROR.size // 2)
        except TimeoutError:
            raise PeerSilentError("did not send the number of its error") from None
        except PeerGoneError:
            if number == bytes(ERROR.size):
                raise
        first, second = ERROR.unpack(number.ljust(ERROR.size, b"\0"))
        return first, second

    async def rest_of_greeting(self) -> bytes:
        """The byte that was no state, and what follows it soon; for a message."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_GREETING_S):
                self._byte += await self._loop.sock_recv(self.sock, _GREETING_BYTES)
        return self._byte

    async def send(self, *parts: bytes | State | dict[str, Any]) -> None:
        """Send bytes, states and blocks, one after another."""
        data = b"".join(_encoded(part) for part in parts)
        try:
            async with asyncio.timeout(self._patience_s):
                await self._loop.sock_sendall(self.sock, data)
        except TimeoutError:
            raise PeerSilentError(f"accepted no data for {self._patience_s:g} s") from None
        except OSError as error:
            raise PeerGoneError(f"closed its control connection ({error.strerror})") from error

    def last_words(self, *parts: bytes | State) -> None:
        """Try to send on a connection that is about to be closed; errors are ignored."""
        try:
            self.sock.send(b"".join(_encoded(part) for part in parts))
        except OSError:
            return

    async def close(self) -> None:
        """Stop waiting for states and close the connection.  Idempotent."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})  # the loop must release the socket before it is closed
            if not self._watch.cancelled():
                self._watch.exception()  # retrieved, so that asyncio does not log it
        self.sock.close()

    async def _state(self) -> State:
        self._byte = await self._exactly(1)
        return state_of(self._byte)

    async def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                part = await self._loop.sock_recv(self.sock, min(count - len(data), 1 << 16))
            except OSError as error:
                raise PeerGoneError(f"broke its control connection ({error.strerror})") from error
            if not part:
                raise PeerGoneError("closed its control connection")
            data += part
        return bytes(data)


def _encoded(part: bytes | State | dict[str, Any]) -> bytes:
    if isinstance(part, State):
        return state_byte(part)
    return part if isinstance(part, bytes) else block(part)
