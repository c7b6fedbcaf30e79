"""Shared parts of the tests of a fleet on Dask: a segment, a plan, and waiting with a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from coordinator.fleet.api import Prepare
from loadgen.engine.api import Assignment, Load, Segment
from loadgen.measure.events import (
    SegmentEnded,
)
from loadgen.model.bound import Bound
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from tests.support.tapes import Op, make_tape


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 20)

    asyncio.run(bounded())


def segment(lead_ns: int) -> Segment:
    start_ns = time.monotonic_ns() + lead_ns
    end_ns = start_ns + NS_PER_S
    return Segment(
        index=3,
        origin_ns=start_ns,
        start_ns=start_ns,
        window_start_ns=start_ns,
        window_end_ns=end_ns,
        end_ns=end_ns,
    )


def prepare(*workers: str) -> Prepare:
    given = Assignment(
        worker="",
        shard=Shard((0,)),
        targets=(Target(name="t0", host="127.0.0.1", port=1),),
        shares=(4,),
        tape=make_tape([Op()], 4),
        load=Load(line_bps=400_000, bound=Bound.rate(320_000), timeout_ns=NS_PER_S),
    )
    return Prepare([replace(given, worker=worker, shard=Shard((i,))) for i, worker in enumerate(workers)])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  # the condition has no event
            await asyncio.sleep(0.001)


def ended(worker: str, segment: int = 0) -> SegmentEnded:
    return SegmentEnded(worker, segment, "complete")
