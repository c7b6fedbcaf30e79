"""Closing what Dask opened: whatever happens there, the run goes on to its result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from coordinator.fleet.dask.closing import close_bounded


async def _well() -> None:
    await asyncio.sleep(0)


async def _raises() -> None:
    raise RuntimeError("Cannot change state of expiring Timeout")


async def _is_cancelled() -> None:
    raise asyncio.CancelledError


async def _hangs() -> None:
    await asyncio.Event().wait()


async def _refuses_to_end() -> None:
    for _ in range(2):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


@pytest.mark.parametrize("close", [_well, _raises, _is_cancelled, _hangs, _refuses_to_end])
def test_closing_ends_and_raises_nothing(close: Callable[[], Awaitable[None]]) -> None:
    told: list[dict[str, Any]] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        await asyncio.wait_for(close_bounded(close, 0.05), 10)

    asyncio.run(scenario())
    assert not told


def test_a_cancelled_closing_is_cancelled() -> None:
    async def scenario() -> None:
        closing = asyncio.ensure_future(close_bounded(_hangs, 60))
        await asyncio.sleep(0.01)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

    asyncio.run(scenario())
