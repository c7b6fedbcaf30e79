"""Serves an application of aiohttp at a socket, with a bound of its connections."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self, cast

from aiohttp import web

from coordinator.output.web.listening import Listening

_MAX_CONNECTIONS = 64
"""Further ones are closed at once: the descriptors of this process are for the run."""
_KEEPALIVE_S = 15.0
_CLOSE_S = 0.5
_TRIM_S = 0.01


class Site:
    """A context manager: inside, the application answers at the socket."""

    def __init__(self, app: web.Application, listening: Listening) -> None:
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, keepalive_timeout=_KEEPALIVE_S, shutdown_timeout=_CLOSE_S
        )
        self._listening = listening
        self._server: asyncio.Server | None = None
        self._trim: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, sock=self._listening.socket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        if self._trim is not None:
            self._trim.cancel()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or len(server.connections) >= _MAX_CONNECTIONS:
            return _Refused()
        if self._trim is None:
            self._trim = asyncio.get_running_loop().call_later(_TRIM_S, self._trimmed)
        return server()

    def _trimmed(self) -> None:
        """Close the newest connections beyond the limit: uvloop accepts many before the first of them counts."""
        self._trim = None
        server = self._runner.server
        for handler in () if server is None else server.connections[_MAX_CONNECTIONS:]:
            if handler.transport is not None:
                handler.transport.abort()


class _Refused(asyncio.Protocol):
    """A connection that is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close the connection."""
        cast(asyncio.Transport, transport).abort()  # uvloop's transports are of no class of asyncio
