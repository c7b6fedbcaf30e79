"""The contract of every engine for a given number of operations: exactly that many, then the segment ends."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from loadgen.engine.api import Arrivals
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.contract.test_engine_contract import run
from tests.support import scripted
from tests.support.engines import ENGINES, MakeEngine, Played, play
from tests.support.scripted import Behaviour, ScriptedServer, Writer
from tests.support.tapes import Op, make_tape

LONG_NS = 30 * NS_PER_S  # a segment and a rest that no test waits for
OPEN = Arrivals(rate_per_s=2000, poisson=False, seed=1, part=0, parts=1, max_backlog=1000, total=101)


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def played(
    make: MakeEngine,
    behaviour: Behaviour,
    *,
    requests: int = 0,
    connections: int = 3,
    arrivals: Arrivals | None = None,
    op: Op | None = None,
) -> tuple[Played, int]:
    """What an engine reports, and the number of requests that the server received."""
    tape = make_tape([op or Op(size=900)], connections)

    async def scenario() -> tuple[Played, int]:
        async with ScriptedServer(behaviour) as server:
            done = await play(
                make,
                tape,
                [server.port],
                requests=requests,
                arrivals=arrivals,
                length_ns=LONG_NS,
                error_rest_ns=LONG_NS if arrivals is None else 10 * NS_PER_MS,
            )
            return done, len(server.requests)

    return run(scenario)


@pytest.mark.parametrize("requests", [3, 4, 100, 1001])
def test_a_closed_loop_plays_exactly_the_given_number(engine: MakeEngine, requests: int) -> None:
    result, received = played(engine, scripted.good, requests=requests)
    assert result.why == "complete"
    assert result.outcomes() == {Outcome.OK: requests}
    assert received == requests
    assert 0 < result.done_s < 20


@pytest.mark.parametrize("poisson", [False, True])
@pytest.mark.parametrize("connections", [1, 8])
def test_an_open_loop_plays_exactly_the_given_number(engine: MakeEngine, connections: int, poisson: bool) -> None:
    arrivals = dataclasses.replace(OPEN, poisson=poisson)
    result, received = played(engine, scripted.good, connections=connections, arrivals=arrivals)
    assert result.why == "complete"
    assert result.outcomes() == {Outcome.OK: 101}
    assert received == 101
    assert 0.02 < result.done_s < 20


def test_parts_of_an_open_loop_play_the_given_number_together(engine: MakeEngine) -> None:
    parts = [dataclasses.replace(OPEN, part=part, parts=3) for part in range(3)]
    counts = [played(engine, scripted.good, arrivals=part)[1] for part in parts]
    assert counts == [34, 34, 33]


def test_failed_requests_count_and_nothing_rests_after_the_last_one(engine: MakeEngine) -> None:
    result, _ = played(engine, scripted.truncates, requests=3, op=Op(size=900, method="POST"))
    assert result.outcomes() == {Outcome.CLOSED_EARLY: 3}
    assert 0 < result.done_s < 20  # a rest takes longer


def test_a_request_that_is_sent_again_is_one_request(engine: MakeEngine) -> None:
    async def answers_once(path: str, size: int, writer: Writer) -> bool:
        await scripted.good(path, size, writer)
        return False

    async def promises_more(path: str, size: int, writer: Writer) -> bool:
        # A reply that keeps the connection, which the server then closes.
        await scripted.good(path, size, writer)
        await writer.drain()
        await asyncio.sleep(0.002)
        return False

    for behaviour in (answers_once, promises_more):
        result, _ = played(engine, behaviour, requests=50, op=Op(size=900))
        assert result.outcomes() == {Outcome.OK: 50}


def test_requests_under_way_are_awaited(engine: MakeEngine) -> None:
    async def slow(path: str, size: int, writer: Writer) -> bool:
        await asyncio.sleep(0.2)
        return await scripted.good(path, size, writer)

    result, received = played(engine, slow, requests=4, connections=3)
    assert result.outcomes() == {Outcome.OK: 4}
    assert received == 4
    assert result.done_s > 0.4


def test_shed_requests_count(engine: MakeEngine) -> None:
    async def slow(path: str, size: int, writer: Writer) -> bool:
        await asyncio.sleep(0.05)
        return await scripted.good(path, size, writer)

    arrivals = dataclasses.replace(OPEN, max_backlog=0)
    result, received = played(engine, slow, connections=1, arrivals=arrivals)
    outcomes = result.outcomes()
    assert sum(outcomes.values()) == 101
    assert outcomes[Outcome.OK] == received
    assert outcomes[Outcome.SHED] == 101 - received


def test_without_a_number_the_segment_ends_at_its_time(engine: MakeEngine) -> None:
    tape = make_tape([Op(size=900)], 2)

    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            return await play(engine, tape, [server.port], length_ns=200 * NS_PER_MS)

    assert run(scenario).done_s < 0
