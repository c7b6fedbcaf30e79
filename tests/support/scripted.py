"""Web servers whose replies are known: correct ones, slow ones and every kind of wrong one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from tests.support.tapes import content

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Behaviour = Callable[[str, int, Writer], Awaitable[bool]]
"""A function of (path, size, writer) that returns whether the connection stays open."""


def head(size: int, *, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{extra}\r\n".encode()


def reset(writer: Writer) -> None:
    """Close the connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def good(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(size) + content(path, size))
    return True


async def chunked(path: str, size: int, writer: Writer) -> bool:
    body = content(path, size)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for at in range(0, size, 300):
        piece = body[at : at + 300]
        writer.write(f"{len(piece):x};note=1\r\n".encode() + piece + b"\r\n")
    writer.write(b"0\r\nTrailer: yes\r\n\r\n")
    return True


async def until_close(path: str, size: int, writer: Writer) -> bool:
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + content(path, size))
    return False


async def interim(path: str, size: int, writer: Writer) -> bool:
    writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + head(size) + content(path, size))
    return True


async def byte_by_byte(path: str, size: int, writer: Writer) -> bool:
    for byte in head(size) + content(path, size):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    return True


async def error_500(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(5, status="500 Oops") + b"sorry")
    return True


async def missing(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(9, status="404 Not Found") + b"not there")
    return True


async def long_500(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(200_000, status="500 Oops") + b"." * 200_000)
    return True


async def wrong_bytes(path: str, size: int, writer: Writer) -> bool:
    body = bytearray(content(path, size))
    body[len(f"{size:9d} {path}\n")] ^= 1  # the first validation byte
    writer.write(head(size) + body)
    return True


async def wrong_header_line(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(size) + content(path + "y", size))
    return True


async def too_short(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(size - 1) + content(path, size)[:-1])
    return True


async def too_long(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(size + 1) + content(path, size) + b"!")
    return True


async def truncates(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(size) + content(path, size)[: size // 2])
    return False


async def resets(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(size) + content(path, size)[: size // 2])
    await asyncio.sleep(0.02)
    reset(writer)
    return False


async def stalls(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(size) + content(path, size)[: size // 2])
    await asyncio.sleep(3600)
    return False


async def silent(path: str, size: int, writer: Writer) -> bool:
    await asyncio.sleep(3600)
    return False


async def hangs_up(path: str, size: int, writer: Writer) -> bool:
    return False


async def garbage(path: str, size: int, writer: Writer) -> bool:
    writer.write(b"\x16\x03\x01 this is not the protocol you are looking for\r\n\r\n")
    return True


async def endless_headers(path: str, size: int, writer: Writer) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.transport.is_closing():
        writer.write(b"X-More: " + b"a" * 500 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)
    return False


async def endless_body(path: str, size: int, writer: Writer) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.transport.is_closing():
        writer.write(b"1000\r\n" + b"." * 4096 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)
    return False


def closes_after(replies: int, behaviour: Behaviour = good, *, resets: bool = False) -> Behaviour:
    """Closes a TCP connection unannounced, when the request after so many replies has arrived."""
    answered: Counter[Writer] = Counter()

    async def answer(path: str, size: int, writer: Writer) -> bool:
        if answered[writer] < replies:
            answered[writer] += 1
            return await behaviour(path, size, writer)
        if resets:
            reset(writer)
        return False

    return answer


def with_cookie(value: str) -> Behaviour:
    async def answer(path: str, size: int, writer: Writer) -> bool:
        writer.write(head(size, extra=f"Set-Cookie: {value}; Path=/\r\n") + content(path, size))
        return True

    return answer


def limited(bps: float) -> Behaviour:
    """Send each reply, head and body, evenly at `bps`; its last byte leaves after the time of all its bits."""

    async def answer(path: str, size: int, writer: Writer) -> bool:
        loop = asyncio.get_running_loop()
        reply = head(size) + content(path, size)
        began, step = loop.time(), max(1, int(bps / 8 * 0.02))
        for at in range(0, len(reply), step):
            piece = reply[at : at + step]
            await asyncio.sleep(max(0.0, began + (at + len(piece)) * 8 / bps - loop.time()))
            writer.write(piece)
        return True

    return answer


def delayed(seconds: float) -> Behaviour:
    async def answer(path: str, size: int, writer: Writer) -> bool:
        await asyncio.sleep(seconds)
        return await good(path, size, writer)

    return answer


def silent_after(seconds: float) -> Behaviour:
    """Good replies for `seconds` from the first request on; later requests get none."""
    silent_from_s = float("inf")

    async def answer(path: str, size: int, writer: Writer) -> bool:
        nonlocal silent_from_s
        now_s = asyncio.get_running_loop().time()
        silent_from_s = min(silent_from_s, now_s + seconds)
        return await (good if now_s < silent_from_s else silent)(path, size, writer)

    return answer


def paused(from_s: float, until_s: float, behaviour: Behaviour) -> Behaviour:
    """Requests between these times wait until the pause ends; times count from the first request on."""
    first_s = float("inf")

    async def answer(path: str, size: int, writer: Writer) -> bool:
        nonlocal first_s
        now_s = asyncio.get_running_loop().time()
        first_s = min(first_s, now_s)
        if from_s <= now_s - first_s < until_s:
            await asyncio.sleep(first_s + until_s - now_s)
        return await behaviour(path, size, writer)

    return answer


def trickling(step_s: float) -> Behaviour:
    """One byte of the reply per `step_s`."""

    async def answer(path: str, size: int, writer: Writer) -> bool:
        for byte in head(size) + content(path, size):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(step_s)
        return True

    return answer


def in_turns(behaviours: Sequence[Behaviour]) -> Behaviour:
    """Request n is answered by behaviour n; from the last one on, by the last."""
    following = iter(behaviours)

    async def answer(path: str, size: int, writer: Writer) -> bool:
        return await next(following, behaviours[-1])(path, size, writer)

    return answer


def spec_answer(behaviour: Behaviour) -> Behaviour:
    """Return `behaviour` for the workload's own requests, whose query has no size: replies have 1,000 bytes."""

    async def answer(path: str, size: int, writer: Writer) -> bool:
        return await behaviour(path, size or 1000, writer)

    return answer


class ScriptedServer:
    """One server on 127.0.0.1 that writes down its requests.  `requests` lists paths in order of arrival.

    `arrived_ns`: when each request had arrived (CLOCK_MONOTONIC).

    Requests with the text `unnoticed` in their heads get good replies at once, and are not written down.

    `peers` are the addresses that connected; with `tls` the server speaks HTTPS.
    """

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None, *, unnoticed: str = "") -> None:
        self._behaviour = behaviour
        self._unnoticed = unnoticed
        self._ssl = tls
        self.peers: set[str] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.requests: list[str] = []
        self.arrived_ns: list[int] = []
        self.hosts: Counter[str] = Counter()
        self.port = 0

    async def __aenter__(self) -> ScriptedServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.peers.add(writer.get_extra_info("peername")[0])
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError
            ):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: Reader, writer: Writer) -> bool:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = request.split("\r\n")
        target = urlsplit(lines[0].split(" ")[1])
        if self._unnoticed and self._unnoticed in request:
            return await good(target.path, 1000, writer) and "Connection: close" not in request
        self.requests.append(target.path)
        self.arrived_ns.append(time.monotonic_ns())
        for line in lines:
            if line.lower().startswith("content-length: "):
                await reader.readexactly(int(line.partition(": ")[2]))
        self.hosts.update(line.removeprefix("Host: ") for line in lines if line.startswith("Host: "))
        size = int(parse_qs(target.query).get("size", ["0"])[0])
        stay = await self._behaviour(target.path, size, writer)
        if not writer.transport.is_closing():
            await writer.drain()
        return stay and "Connection: close" not in request
