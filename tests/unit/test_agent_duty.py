"""Reports that a machine's engines send at nearly the same time are written as one frame, in order, and soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack

from loadgen.agent.duty import Duty
from loadgen.agent.logtail import LogTail
from loadgen.agent.spool import Spool
from loadgen.engine.api import Segment
from loadgen.measure.events import AgentEvent, OneEvent, SegmentEnded, apart, event_from_wire
from loadgen.model.units import NS_PER_S
from tests.support.disturbance import second
from tests.support.snapshots import snapshot

ENDED = SegmentEnded("a/0", 0, "complete")


class Idle:
    """Replaces the driver of two engines; starts no process."""

    present, playing = 2, False

    def __init__(self, workers: object, took: Callable[[AgentEvent], None], **_: Any) -> None:
        self.happens = took

    def stop(self) -> None:
        pass

    async def settle(self) -> None:
        pass


def frames_of(path: Path) -> list[list[OneEvent]]:
    """Return the events of each frame."""
    data, found = path.read_bytes(), []
    while data:
        size = int.from_bytes(data[:4], "big")
        found.append(list(apart([event_from_wire(msgpack.unpackb(data[4 : 4 + size]))])))
        data = data[4 + size :]
    return found


Scenario = Callable[[Callable[[AgentEvent], None], Duty], Awaitable[None]]


def on_duty(tmp_path: Path, scenario: Scenario) -> list[list[OneEvent]]:
    """Return the frames of the spool after the scenario, which receives the callback for events of engines."""

    async def play() -> None:
        made: list[Idle] = []

        def make(*args: Any, **rest: Any) -> Any:
            made.append(Idle(*args, **rest))
            return made[-1]

        spool = Spool(tmp_path / "a.spool")
        duty = Duty(
            "run", "a", ["a/0", "a/1"], spool=spool, send=print, log=LogTail(), chunk_bytes=1 << 20, make_agent=make
        )
        try:
            await scenario(made[0].happens, duty)
        finally:
            spool.close()

    asyncio.run(play())
    return frames_of(tmp_path / "a.spool")


def test_reports_of_all_engines_become_one_frame_when_complete(tmp_path: Path) -> None:
    both: list[OneEvent] = [snapshot("a/0", 0), snapshot("a/1", 0)]

    async def reported(happens: Callable[[AgentEvent], None], duty: Duty) -> None:
        for one in both:
            assert not duty.spool.length
            happens(one)

    assert on_duty(tmp_path, reported) == [both]


def test_a_report_of_one_engine_is_written_before_its_next_event(tmp_path: Path) -> None:
    one = snapshot("a/0", 0)

    async def ended(happens: Callable[[AgentEvent], None], duty: Duty) -> None:
        happens(one)
        happens(ENDED)

    assert on_duty(tmp_path, ended) == [[one], [ENDED]]


def test_what_a_second_was_like_does_not_split_the_reports_of_all_engines(tmp_path: Path) -> None:
    both: list[OneEvent] = [snapshot("a/0", 0), snapshot("a/1", 0)]
    looked = second(0, machine="a")

    async def reported(happens: Callable[[AgentEvent], None], duty: Duty) -> None:
        happens(both[0])
        happens(looked)
        happens(both[1])
        assert not duty._urgent.is_set()

    assert on_duty(tmp_path, reported) == [[looked], both]


def test_a_late_engine_delays_the_others_only_briefly(tmp_path: Path) -> None:
    early, late = snapshot("a/0", 0), snapshot("a/1", 0)

    async def written(happens: Callable[[AgentEvent], None], duty: Duty) -> None:
        happens(early)
        async with asyncio.timeout(10):
            while not duty.spool.length:  # noqa: ASYNC110  # the growth of a spool has no event
                await asyncio.sleep(0.001)
        happens(late)
        await duty.finish()

    assert on_duty(tmp_path, written) == [[early], [late]]


def test_a_segment_that_is_stopped_before_its_order_arrives_ends_at_once(tmp_path: Path) -> None:
    soon_ns = time.monotonic_ns() + 3600 * NS_PER_S
    late = Segment(
        index=2, origin_ns=soon_ns, start_ns=soon_ns, window_start_ns=soon_ns, window_end_ns=soon_ns, end_ns=soon_ns
    )

    async def overtaken(_: Callable[[AgentEvent], None], duty: Duty) -> None:
        duty.stop(2)
        assert await duty.start(late) == []  # Idle could not start one

    assert on_duty(tmp_path, overtaken) == [[SegmentEnded(worker, 2, "stopped")] for worker in ("a/0", "a/1")]


def test_closing_writes_pending_reports(tmp_path: Path) -> None:
    one = snapshot("a/0", 0)

    async def finished(happens: Callable[[AgentEvent], None], duty: Duty) -> None:
        happens(one)
        length = await duty.finish()
        assert length == duty.spool.length > 0
        happens(ENDED)  # nothing more is written

    assert on_duty(tmp_path, finished) == [[one]]
