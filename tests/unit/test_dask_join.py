"""The Dask worker of an agent."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from distributed import Worker

from loadgen.agent.dask import join


def test_the_dask_heartbeat_is_sent_every_ten_seconds_even_soon_after_boot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(uptime_s=0.0)
    clock.monotonic = lambda: clock.uptime_s
    sent: list[float] = []

    async def send(worker: Worker) -> None:
        sent.append(clock.uptime_s)

    async def beat() -> None:
        worker = join.AgentWorker.__new__(join.AgentWorker)  # this call needs no scheduler
        for clock.uptime_s in (1.5, 2.0, 11.4, 11.5, 12.0):
            await worker.heartbeat()

    monkeypatch.setattr(Worker, "heartbeat", send)
    monkeypatch.setattr(join, "time", clock)
    asyncio.run(beat())
    assert sent == [1.5, 11.5]
