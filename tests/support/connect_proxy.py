"""A forward proxy on 127.0.0.1 for tests: CONNECT, and requests with whole URLs, all to one server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from tests.support.tcp_relay import Relay

OPENED = b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n"


class ConnectProxy(Relay):
    """Answers CONNECT with `answer`; with :data:`OPENED` it relays to 127.0.0.1:`upstream`, otherwise it closes.

    An empty answer closes at once; None never answers.  `heads` are what was asked, without the blank line.
    Requests with whole URLs go to `plain_upstream`.  With `requires`, heads must have this value of
    Proxy-Authorization; others get status 407.
    """

    def __init__(self, upstream: int, answer: bytes | None = OPENED, *, requires: str = "") -> None:
        super().__init__(upstream)
        self._answer = answer
        self._requires = requires
        self.heads: list[str] = []
        self.plain_upstream = upstream

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._relay(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        text = head.decode().removesuffix("\r\n\r\n")
        self.heads.append(text)
        answer = self._answer
        if self._requires and f"Proxy-Authorization: {self._requires}" not in text.split("\r\n"):
            answer = b'HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
        if answer is None:
            await asyncio.Event().wait()
            return
        opened = answer == OPENED
        if text.startswith("CONNECT ") or not opened:
            writer.write(answer)
            await writer.drain()
        if not opened:
            return
        port = self._upstream if text.startswith("CONNECT ") else self.plain_upstream
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            if not text.startswith("CONNECT "):
                far_writer.write(head)
            there = asyncio.create_task(_pump(reader, far_writer))
            try:
                await _pump(far_reader, writer)
            finally:
                there.cancel()
        finally:
            far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def in_thread(proxy: ConnectProxy) -> Iterator[ConnectProxy]:
    """Run the proxy on an event loop of its own, for tests that do not run one."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ended: asyncio.Future[None] = loop.create_future()

    async def serve() -> None:
        async with proxy:
            ready.set()
            await ended

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(ended.set_result, None)
        thread.join(10)
        loop.close()
