"""Serves an application of aiohttp at a socket, with a bound of its connections."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import web

from coordinator.output.web.listening import Listening

_MAX_CONNECTIONS = 64
"""Further ones are closed at once: the descriptors of this process are for the run."""
_KEEPALIVE_S = 15.0
_CLOSE_S = 0.5


class Site:
    """A context manager: inside, the application answers at the socket."""

    def __init__(self, app: web.Application, listening: Listening) -> None:
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, keepalive_timeout=_KEEPALIVE_S, shutdown_timeout=_CLOSE_S
        )
        self._listening = listening
        self._server: asyncio.Server | None = None

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
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or len(server.connections) >= _MAX_CONNECTIONS:
            return _Refused()
        return server()


class _Refused(asyncio.Protocol):
    """A connection that is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close the connection."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
