"""A web server that keeps every request whole, as its bytes arrived."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable

_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LENGTH = re.compile(rb"\r\nContent-Length: ([0-9]+)\r\n")


class RawServer:
    """One server on 127.0.0.1; `requests` are the requests in the order in which they were complete.

    A connection on which `hangs_up(requests so far)` is true is closed instead of answered.  With `slowly`, requests
    are read in pieces, so that a long one does not leave the client at once.
    """

    def __init__(self, hangs_up: Callable[[int], bool] = lambda had: False, *, slowly: bool = False) -> None:
        self._hangs_up = hangs_up
        self._slowly = slowly
        self._server: asyncio.Server | None = None
        self.requests: list[bytes] = []
        self.port = 0

    async def __aenter__(self) -> RawServer:
        limit = 1 << 12 if self._slowly else 1 << 16
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=limit)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        had = 0
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                self.requests.append(head + await self._body(reader, int(length[1]) if length else 0))
                if self._hangs_up(had):
                    break
                had += 1
                writer.write(_REPLY)
        writer.close()

    async def _body(self, reader: asyncio.StreamReader, size: int) -> bytes:
        body = b""
        while len(body) < size:
            if self._slowly:
                await asyncio.sleep(0.001)
            body += await reader.readexactly(min(size - len(body), 1 << 16))
        return body
