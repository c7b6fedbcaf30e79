"""Closing the meeting point of a fleet: whatever Dask's scheduler does, its port is free for the next run."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

pytest.importorskip("distributed")

from distributed import Scheduler

from coordinator.fleet.dask import hub as hubs
from coordinator.fleet.dask.hub import Hub


async def _raises() -> None:
    raise RuntimeError("Cannot change state of expiring Timeout")


async def _hangs() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("instead", [_raises, _hangs, None])
def test_the_port_is_free_after_a_hub_was_closed(
    instead: Callable[[], Awaitable[None]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "_CLOSE_TIMEOUT_S", 0.5 if instead else 5.0)
    close = Scheduler.close
    schedulers: list[Scheduler] = []

    async def broken(scheduler: Scheduler, *_: object, **__: object) -> None:
        schedulers.append(scheduler)
        assert instead is not None
        await instead()

    if instead is not None:
        monkeypatch.setattr(Scheduler, "close", broken)

    async def scenario() -> None:
        hub = Hub(("127.0.0.1",), 0, None)
        async with hub:
            port = int(hub.contact("127.0.0.1").rpartition(":")[2])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            probe.listen()
        for scheduler in schedulers:
            await close(scheduler)

    asyncio.run(asyncio.wait_for(scenario(), 30))
