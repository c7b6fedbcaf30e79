"""A relay on 127.0.0.1 between clients and a server; what it does with the bytes is its subclass's."""

from __future__ import annotations

import abc
import asyncio
from typing import Self


class Relay(abc.ABC):
    """Listens on 127.0.0.1:`port` while it is entered, and connects to 127.0.0.1:`upstream`.

    A subclass adds the task of each connection to `_tasks`; leaving the relay cancels the tasks.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @abc.abstractmethod
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
