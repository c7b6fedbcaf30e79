"""A relay in front of a real web server that writes down every request, and treats requests as a test defines."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time

from tests.support.tcp_relay import Relay

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class WitnessRelay(Relay):
    """Relays 127.0.0.1:port to 127.0.0.1:upstream.

    `requests` are the paths in order of arrival, `arrived_ns` their times (CLOCK_MONOTONIC).  A request waits for
    `delay_s`; from `silent_after_s` after the first request on, none is passed on.  A TCP connection is closed when the
    request after `replies` requests has arrived.  Requests with the text `unnoticed` in their heads are
    passed on at once, and not written down.
    """

    def __init__(
        self,
        upstream: int,
        *,
        delay_s: float = 0.0,
        silent_after_s: float = math.inf,
        replies: float = math.inf,
        unnoticed: str = "",
    ) -> None:
        self._unnoticed = unnoticed
        super().__init__(upstream)
        self._delay_s = delay_s
        self._silent_after_s = silent_after_s
        self._replies = replies
        self._silent_from_s = math.inf
        self.requests: list[str] = []
        self.arrived_ns: list[int] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            replies = asyncio.create_task(self._pass_on(up_reader, writer))
            try:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await self._requests(reader, up_writer)
            finally:
                replies.cancel()
                up_writer.close()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        """Pass requests on until the connection is to be closed."""
        seen = 0
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            if self._unnoticed and self._unnoticed.encode() in head:
                up.write(head + body)
                continue
            self.requests.append(head.split(b" ", 2)[1].decode())
            self.arrived_ns.append(time.monotonic_ns())
            seen += 1
            if seen > self._replies:
                return
            now_s = asyncio.get_running_loop().time()
            self._silent_from_s = min(self._silent_from_s, now_s + self._silent_after_s)
            if now_s >= self._silent_from_s:
                continue
            await asyncio.sleep(self._delay_s)
            up.write(head + body)

    async def _pass_on(self, up: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await up.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()  # a reply that ends with its connection
