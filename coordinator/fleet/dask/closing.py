"""Closes what Dask opened, whatever Dask does: the result of a run must not depend on that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_CANCEL_S = 0.5


async def close_bounded(close: Callable[[], Awaitable[object]], timeout_s: float) -> None:
    """Wait for `close()`, but no longer than `timeout_s` and half a second.  Never raises an error of Dask.

    Dask waits for peers that are frozen.  It raises RuntimeError if it ends a connection twice that it is just making,
    which it does when a peer is gone.
    """
    closing = asyncio.ensure_future(close())
    closing.add_done_callback(_look)
    try:
        await asyncio.wait({closing}, timeout=timeout_s)
    finally:
        closing.cancel()
    await asyncio.wait({closing}, timeout=_CANCEL_S)


def _look(closed: asyncio.Future[object]) -> None:
    """Look at the error, so that asyncio does not print it."""
    if not closed.cancelled():
        closed.exception()
