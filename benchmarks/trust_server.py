"""A web server of the trust benchmark whose misbehaviour is known: one process, all connections in one event loop.

    python benchmarks/trust_server.py ADDRESS DELAY_MS MODE

Prints its port.  Answers each request after DELAY_MS; MODE is one of:

    good        100 bytes
    404         "404 Not Found" for each request
    half        "404 Not Found" for every second request of a connection
    closes      as `good`, but closes the connection, unannounced, after the tenth reply
    silent      never answers
"""

from __future__ import annotations

import asyncio
import sys

_BODY = b"." * 100
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + _BODY
_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n" + _BODY
_REPLIES = 10


class _Connection(asyncio.Protocol):
    def __init__(self, mode: str, delay_s: float) -> None:
        self._mode = mode
        self._delay_s = delay_s
        self._seen = b""
        self._answered = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while b"\r\n\r\n" in self._seen:
            _, _, self._seen = self._seen.partition(b"\r\n\r\n")
            if self._mode != "silent":
                asyncio.get_running_loop().call_later(self._delay_s, self._answer)

    def _answer(self) -> None:
        assert self._transport is not None
        self._answered += 1
        missing = self._mode == "404" or (self._mode == "half" and self._answered % 2 == 0)
        self._transport.write(_MISSING if missing else _OK)
        if self._mode == "closes" and self._answered == _REPLIES:
            self._transport.close()


async def main(address: str, delay_s: float, mode: str) -> None:
    """Serve until the process is killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(mode, delay_s), address, 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]) / 1e3, sys.argv[3]))
