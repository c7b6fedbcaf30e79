"""The contract of every engine for several segments: a segment leaves nothing behind that the next one would count."""

from __future__ import annotations

import asyncio
import time

import pytest

from loadgen.engine.api import Assignment, Load, Segment
from loadgen.measure.ledger import Ledger, Totals
from loadgen.model.bound import Bound
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import OpTape
from tests.contract.test_engine_contract import run
from tests.support import scripted
from tests.support.engines import ENGINES, MakeEngine, Played, play
from tests.support.scripted import Behaviour, ScriptedServer, Writer
from tests.support.tapes import Op, make_tape


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def two_segments(make: MakeEngine, tape: OpTape, behaviour: Behaviour, ends: asyncio.Event, line_bps: int) -> Totals:
    """Play two segments with one connection; each is stopped when `behaviour` sets `ends`."""

    async def scenario() -> Totals:
        async with ScriptedServer(behaviour) as server:
            over = asyncio.Event()
            assignment = Assignment(
                worker="w",
                shard=Shard((0,)),
                targets=(Target(name="t0", host="127.0.0.1", port=server.port),),
                shares=(1,),
                tape=tape,
                load=Load(line_bps=line_bps, bound=Bound.rate(1), timeout_ns=5 * NS_PER_S, error_rest_ns=NS_PER_S),
            )
            engine = make(assignment, asyncio.get_running_loop(), lambda segment, why: over.set())
            for index in range(2):
                ends.clear()
                over.clear()
                now_ns = time.monotonic_ns()
                late_ns = now_ns + 60 * NS_PER_S
                engine.renew(late_ns)
                engine.start(
                    Segment(
                        index=index,
                        origin_ns=now_ns,
                        start_ns=now_ns,
                        window_start_ns=now_ns,
                        window_end_ns=late_ns,
                        end_ns=late_ns,
                    )
                )
                await asyncio.wait_for(ends.wait(), 20)
                engine.stop()
                await asyncio.wait_for(over.wait(), 5)
            ledger = Ledger(["w"], len(tape.kinds), len(tape.groups))
            ledger.receive(engine.drain(0))
            return ledger.totals()

    return run(scenario)


def test_a_retry_of_a_page_that_was_cut_is_not_counted_again(engine: MakeEngine) -> None:
    """The server closes the connection of the page, and answers no object: one of them was sent twice at the end."""
    ends, pages, unanswered = asyncio.Event(), list[Writer](), 0

    async def answer(path: str, size: int, writer: Writer) -> bool:
        nonlocal unanswered
        if path == "/page":
            pages.append(writer)
            if len(pages) == 3:
                ends.set()
                return await scripted.silent(path, size, writer)
        elif len(pages) == 1:
            if writer is pages[0]:
                return False
            unanswered += 1
            if unanswered == 2:
                ends.set()
            return await scripted.silent(path, size, writer)
        return await scripted.good(path, size, writer)

    ops = [Op(path="/page"), Op(path="/a", embedded=True), Op(path="/b", embedded=True)]
    totals = two_segments(engine, make_tape(ops, 1, segments=2, lanes=2), answer, ends, 80_000_000)
    first, second = totals.cells[0, 0], totals.cells[1, 0]
    assert (first.ok, first.cut, first.retries) == (0, 1, 1)
    assert (second.ok, second.retries) == (1, 0)


def test_bytes_on_an_idle_connection_do_not_count_for_the_next_segment(engine: MakeEngine) -> None:
    """At 8 kbit/s, a reply of about 1 KB is followed by a second of rest, in which the server sends more bytes."""
    ends, requests = asyncio.Event(), 0

    async def answer(path: str, size: int, writer: Writer) -> bool:
        nonlocal requests
        requests += 1
        if requests == 3:
            ends.set()
            return await scripted.silent(path, size, writer)
        stays = await scripted.good(path, size, writer)
        if requests == 1:
            await asyncio.sleep(0.1)
            writer.write(b"more")
            await asyncio.sleep(0.2)
            ends.set()
        return stays

    totals = two_segments(engine, make_tape([Op()], 1, segments=2), answer, ends, 8_000)
    first, second = totals.cells[0, 0], totals.cells[1, 0]
    assert (first.ok, second.ok) == (1, 1)
    assert (first.surplus, second.surplus) == (0, 0)


def test_time_before_and_after_a_segment_is_no_part_of_the_engines_health(engine: MakeEngine) -> None:
    waits_ns = 300 * NS_PER_MS

    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            return await play(
                engine,
                make_tape([Op()], 2),
                [server.port],
                length_ns=100 * NS_PER_MS,
                start_after_ns=waits_ns,
                idle_ns=waits_ns,
            )

    played = run(scenario)
    assert 100 * NS_PER_MS <= played.snapshots[1].health.wall_ns <= played.played_ns
    assert played.snapshots[2].health.wall_ns == 0
