"""Both ends of a probe for tests: those of loadgen, stock iperf3, and scripted ones that break the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from loadgen.measure.throughput import ProbeResult, Tick
from loadgen.model.probe import ProbeTest
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.api import ServedTest, ServerLimits
from loadgen.probe.attempts import run_test
from loadgen.probe.server import ProbeServer
from tests.support.lab import IPERF3

T = TypeVar("T")
HOST = "127.0.0.1"
SHORT_NS = 100 * NS_PER_MS


def run(scenario: Callable[[], Awaitable[T]], timeout_s: float = 30) -> T:
    """Run `scenario` in an event loop of its own."""

    async def bounded() -> T:
        return await asyncio.wait_for(scenario(), timeout_s)

    return uvloop.run(bounded())


@dataclass
class Served:
    """A server of loadgen, and its reports about its tests."""

    server: ProbeServer
    port: int
    tests: list[ServedTest] = field(default_factory=list)

    async def until_served(self, count: int) -> list[ServedTest]:
        """Wait until the server has reported `count` tests; returns the reports."""
        await until(lambda: len(self.tests) >= count)
        return self.tests


@contextlib.asynccontextmanager
async def serving(host: str = HOST, port: int = 0, **limits: int) -> AsyncIterator[Served]:
    """Run a server of loadgen on `port`; 0 is a port of the kernel's choice."""
    tests: list[ServedTest] = []
    server = ProbeServer(on_served=tests.append, limits=ServerLimits(**limits))
    port = await server.open(host, port)
    try:
        yield Served(server, port, tests)
    finally:
        await server.close()


async def probe(test: ProbeTest, port: int, *, patience_ns: int = 5 * NS_PER_S, host: str = HOST) -> ProbeResult:
    """Run a client of loadgen; returns its result, without its ticks."""

    def forget(tick: Tick) -> None:
        del tick

    return await run_test(test, host, port, on_tick=forget, patience_ns=patience_ns)


async def until(condition: Callable[[], bool], timeout_s: float = 5) -> None:
    """Wait until `condition` returns True, through other tasks, threads or processes."""
    async with asyncio.timeout(timeout_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def stock_server() -> Iterator[int]:
    """Run `iperf3 -s` inside the context; yields its port."""
    assert IPERF3 is not None
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [IPERF3, "-s", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 5
            while f":{port:04X} " not in _listening(process.pid):
                assert time.monotonic() < deadline, "iperf3 -s does not listen"
                time.sleep(0.01)
            yield port
        finally:
            process.terminate()


def _listening(pid: int) -> str:
    tables = (Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    return "\n".join(line for table in tables for line in table.splitlines() if " 0A " in line)


async def stock_client(port: int, *arguments: str) -> dict[str, Any]:
    """Return the whole JSON output of `iperf3 -c -J`."""
    assert IPERF3 is not None
    process = await asyncio.create_subprocess_exec(
        IPERF3, "-c", HOST, "-p", str(port), "-J", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    answer: dict[str, Any] = json.loads(out)
    return answer


def footprint() -> tuple[int, int]:
    """Return the descriptors and threads of this process, without the spare descriptor that uvloop opens once."""
    gc.collect()  # sockets that an earlier test left to the garbage collector
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            count += str(path.readlink()) != os.devnull
    return count, threading.active_count()


def short(**options: Any) -> ProbeTest:
    """Return a test of loadgen that takes almost no time."""
    return ProbeTest(**{"duration_ns": SHORT_NS, **options})


class Peer:
    """One end of a plain TCP connection that the test drives step by step."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> Peer:
        return cls(*await asyncio.open_connection(HOST, port))

    def send(self, *parts: bytes | int | dict[str, Any]) -> None:
        """Send bytes, a state (one byte), or a block with its length."""
        for part in parts:
            if isinstance(part, int):
                part = part.to_bytes(1, "big", signed=True)
            elif isinstance(part, dict):
                body = json.dumps(part).encode()
                part = len(body).to_bytes(4, "big") + body
            self.writer.write(part)

    async def state(self) -> int:
        """Receive the next byte as a state."""
        return int.from_bytes(await self.reader.readexactly(1), "big", signed=True)

    async def block(self) -> dict[str, Any]:
        """Receive the next block: its length, then its JSON."""
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        value: dict[str, Any] = json.loads(await self.reader.readexactly(size))
        return value

    async def ended(self) -> bytes:
        """Receive all data until the other end closes."""
        try:
            return await self.reader.read(-1)
        except ConnectionResetError:
            return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


COOKIE = b"a" * 36 + b"\0"
Script = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted_server(script: Script, stream: Script | None = None) -> AsyncIterator[int]:
    """Run a server whose first connection plays `script`; other connections play `stream` or only receive.

    Yields its port.
    """
    peers: list[Peer] = []
    playing: list[asyncio.Task[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        peers.append(peer)
        if len(peers) == 1:
            playing.append(asyncio.ensure_future(script(peer)))
        else:
            await (stream(peer) if stream else peer.ended())

    server = await asyncio.start_server(accept, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
        server.close()
        for peer in peers:
            await peer.close()
        await server.wait_closed()
