"""The pages of a running command, and its metrics: opened before there is any traffic, closed when the command ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from coordinator.output.web.board import Board
from coordinator.output.web.listening import Address, Listening, check_apart, listen
from coordinator.output.web.watch import Watch


@dataclass(frozen=True, slots=True)
class Open:
    """What is served.  `url` is that of the page; "" without one."""

    board: Board
    url: str = ""


@contextlib.asynccontextmanager
async def opened(watch: Watch, say: Callable[[str], None]) -> AsyncIterator[Open | None]:
    """Serve what is asked for; None when nothing is.  Raises PlanError when an address cannot be had.

    `say` shows the user one line of text.
    """
    if not watch.serves:
        yield None
        return
    check_apart(watch.web, watch.metrics)
    async with contextlib.AsyncExitStack() as stack:
        page, metrics = (_listen(address, stack) for address in (watch.web, watch.metrics))
        from coordinator.output.web import live  # aiohttp takes a third of a second, and most commands have no page
        from coordinator.output.web.guard import Guard
        from coordinator.output.web.site import Site

        board, url = Board(say), ""
        if metrics is not None:
            guard = Guard.of(metrics, with_token=False)
            await stack.enter_async_context(Site(live.metrics_app(board, guard), metrics))
            say(f"metrics for Prometheus: {guard.url(metrics, '/metrics')}")
        if page is not None:
            guard = Guard.of(page, with_token=True)
            await stack.enter_async_context(Site(live.page_app(board, guard), page))
            url = guard.url(page)
            say(f"live page: {url}")
        yield Open(board, url)


def _listen(address: Address | None, stack: contextlib.AsyncExitStack) -> Listening | None:
    if address is None:
        return None
    listening = listen(address)
    stack.callback(listening.socket.close)
    return listening
