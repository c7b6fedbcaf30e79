"""A path between a probe and its server that passes TCP, and treats each datagram as the test defines."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from loadgen.probe.iperf3 import GREETING_SIZES, UDP_CONNECTS
from tests.support.probes import HOST

Fate = Callable[[int], int]
"""A function from a datagram's number in its stream and direction (from 1) to the number of copies that arrive."""

_ROOM_BYTES = 1 << 20  # for a burst of datagrams after a moment in which nothing ran; the kernel may grant less


def _whole(number: int) -> int:
    """The fate of greetings and answers unless the test says otherwise: each arrives once."""
    return 1


class _Half(asyncio.DatagramProtocol):
    """One side of a stream's path: passes datagrams on to the other side."""

    def __init__(self, pass_on: Callable[[bytes, Any], None]) -> None:
        self._pass_on = pass_on

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM_BYTES)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._pass_on(data, addr)


class _Datagrams:
    def __init__(self, port: int, fate: Fate, asked: Fate, answered: Fate) -> None:
        self._port = port
        self._fates = {"asked": asked, "answered": answered, "data": fate}
        self._loop = asyncio.get_running_loop()
        self._ups: dict[Any, asyncio.Future[asyncio.DatagramTransport]] = {}
        self._counts: dict[tuple[Any, bool, str], int] = {}
        self.down: asyncio.DatagramTransport | None = None

    def came(self, data: bytes, guest: Any) -> None:
        if guest not in self._ups:
            self._ups[guest] = asyncio.ensure_future(self._open(guest))
        up = self._ups[guest]
        if up.done():
            self._send(up.result(), data, None, (guest, True))
        else:
            up.add_done_callback(lambda done: self._send(done.result(), data, None, (guest, True)))

    async def _open(self, guest: Any) -> asyncio.DatagramTransport:
        def back(data: bytes, _: Any) -> None:
            assert self.down is not None
            self._send(self.down, data, guest, (guest, False))

        transport, _ = await self._loop.create_datagram_endpoint(lambda: _Half(back), remote_addr=(HOST, self._port))
        return transport

    def _send(self, to: asyncio.DatagramTransport, data: bytes, address: Any, way: tuple[Any, bool]) -> None:
        greeting = (data[:4] in UDP_CONNECTS and len(data) in GREETING_SIZES) or data in UDP_CONNECTS.values()
        what = "data" if not greeting else "asked" if way[1] else "answered"
        key = (*way, what)
        self._counts[key] = number = self._counts.get(key, 0) + 1
        copies = self._fates[what](number)
        for _ in range(copies):
            to.sendto(data, address)

    def close(self) -> None:
        for up in self._ups.values():
            if up.done():
                up.result().close()
        if self.down is not None:
            self.down.close()


@contextlib.asynccontextmanager
async def relay(port: int, fate: Fate, *, asked: Fate = _whole, answered: Fate = _whole) -> AsyncIterator[int]:
    """Run a path to the server on `port`; yields the port of its near end.

    `asked`, `answered`: the fates of the greetings of each stream, and of their answers.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # this is a task
        far_reader, far_writer = await asyncio.open_connection(HOST, port)
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            writer.close()
            far_writer.close()

    server = await asyncio.start_server(accept, HOST, 0)
    near: int = server.sockets[0].getsockname()[1]
    datagrams = _Datagrams(port, fate, asked, answered)
    datagrams.down, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Half(datagrams.came), local_addr=(HOST, near)
    )
    try:
        yield near
    finally:
        datagrams.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
