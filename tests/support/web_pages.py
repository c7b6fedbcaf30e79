"""Pages that are served by a thread, for a browser to open."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from coordinator.kinds.catalog import judges
from coordinator.output.web.board import Board
from coordinator.output.web.browser import records_app
from coordinator.output.web.guard import Guard
from coordinator.output.web.listening import Address, listen
from coordinator.output.web.live import page_app
from coordinator.output.web.site import Site

TOKEN = "0123456789abcdef0123456789abcdef"


@dataclasses.dataclass(frozen=True)
class Pages:
    """What is served: the URL of the first page, and the loop that serves it."""

    url: str
    loop: asyncio.AbstractEventLoop

    def do(self, action: Callable[[], Any]) -> None:
        """Call a function in the loop, and return when it was called."""

        async def call() -> None:
            action()

        asyncio.run_coroutine_threadsafe(call(), self.loop).result(30)


@contextmanager
def serving(make: Callable[[Guard], web.Application], *, token: str = "") -> Iterator[Pages]:
    """Serve the application that `make` returns, on loopback and at any port."""
    listening = listen(Address("--web", "127.0.0.1", 0))
    guard = dataclasses.replace(Guard.of(listening, with_token=True), token=token)
    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        async with Site(make(guard), listening):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield Pages(guard.url(listening), loop)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(30)
        loop.close()
        listening.socket.close()


@contextmanager
def live_page(*, token: str = "") -> Iterator[tuple[Pages, Board]]:
    """Serve a live page, and yield its board: call its methods by :meth:`Pages.do`."""
    said: list[str] = []
    board = Board(said.append)
    with serving(lambda guard: page_app(board, guard), token=token) as pages:
        yield pages, board
    assert said == []


@contextmanager
def records(root: Path) -> Iterator[Pages]:
    """Serve the records below a directory."""
    with serving(lambda guard: records_app(root, judges(), guard)) as pages:
        yield pages
